//! The keys a cluster uses in its store.

use crate::address::HostPort;

/// `kv.path` of a cluster that sets none.
pub const KV_PATH_DEFAULT: &str = "docker/swarm/nodes";

/// Longest prefix or `kv.path`, in bytes; Consul takes keys of up to 512.
const PATH_LEN_MAX: usize = 255;

/// The keys of one cluster, as in spec/classic.md section 2.4, plus the lease of DESIGN.md section 3.
///
/// With the default `kv.path` they are `<prefix>/docker/swarm/{nodes,leader,lease,drained}`. With another `kv.path`, say
/// `a/blue`, the leader and the lease are `<prefix>/a/leader-blue` and `<prefix>/a/lease-blue`: two clusters that share
/// a prefix and differ in `kv.path` fought over one leader in classic Swarm (defect H12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyLayout {
    nodes: String,
    leader: String,
    lease: String,
    drained: String,
}

/// Why a text is not a path in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// More than 255 bytes.
    #[error("it is longer than {PATH_LEN_MAX} bytes")]
    TooLong,
    /// A `..` segment, which would leave the prefix.
    #[error("\"..\" is not allowed in it")]
    Parent,
    /// A control character.
    #[error("it holds a control character")]
    Control,
    /// Nothing is left of a path that must name something.
    #[error("it is empty")]
    Empty,
}

impl KeyLayout {
    /// The keys below `prefix` for this `kv.path`.
    ///
    /// # Errors
    /// When one of the two cannot be a path, or `kv_path` is empty.
    pub fn new(prefix: &str, kv_path: &str) -> Result<Self, PathError> {
        let prefix = clean_path(prefix)?;
        let path = clean_path(kv_path)?;
        if path.is_empty() {
            return Err(PathError::Empty);
        }
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let suffix = if path == KV_PATH_DEFAULT {
            String::new()
        } else {
            format!("-{name}")
        };
        Ok(Self {
            nodes: join(&[&prefix, &path]),
            leader: join(&[&prefix, parent, &format!("leader{suffix}")]),
            lease: join(&[&prefix, parent, &format!("lease{suffix}")]),
            drained: join(&[&prefix, parent, &format!("drained{suffix}")]),
        })
    }

    /// The directory of the engines, without a slash at its end.
    #[must_use]
    pub fn nodes(&self) -> &str {
        &self.nodes
    }

    /// What the key of each engine starts with: the directory and a slash. Without the slash a listing by prefix would
    /// also pick up sibling directories (defect D5).
    #[must_use]
    pub fn nodes_prefix(&self) -> String {
        format!("{}/", self.nodes)
    }

    /// The key of one engine; its value is the same address.
    #[must_use]
    pub fn engine(&self, engine: &HostPort) -> String {
        format!("{}/{engine}", self.nodes)
    }

    /// What the key of each drained engine starts with; its daemon's ID follows.
    #[must_use]
    pub fn drained_prefix(&self) -> String {
        format!("{}/", self.drained)
    }

    /// The key where the primary's address stands for scripts and people. Information only.
    #[must_use]
    pub fn leader(&self) -> &str {
        &self.leader
    }

    /// The key of the lease record that decides who is primary.
    #[must_use]
    pub fn lease(&self) -> &str {
        &self.lease
    }
}

/// Drops empty and `.` segments and slashes at the ends.
pub(super) fn clean_path(text: &str) -> Result<String, PathError> {
    if text.len() > PATH_LEN_MAX {
        return Err(PathError::TooLong);
    }
    if text.chars().any(char::is_control) {
        return Err(PathError::Control);
    }
    let segments: Vec<&str> = text
        .split('/')
        .filter(|segment| !matches!(*segment, "" | "."))
        .collect();
    if segments.contains(&"..") {
        return Err(PathError::Parent);
    }
    Ok(segments.join("/"))
}

fn join(parts: &[&str]) -> String {
    parts
        .iter()
        .copied()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(prefix: &str, kv_path: &str) -> [String; 4] {
        let layout = KeyLayout::new(prefix, kv_path).unwrap();
        [
            layout.nodes_prefix(),
            layout.leader().to_owned(),
            layout.lease().to_owned(),
            layout.drained_prefix(),
        ]
    }

    #[test]
    fn the_default_layout_is_that_of_classic_swarm() {
        assert_eq!(
            keys("nodes", KV_PATH_DEFAULT),
            [
                "nodes/docker/swarm/nodes/",
                "nodes/docker/swarm/leader",
                "nodes/docker/swarm/lease",
                "nodes/docker/swarm/drained/"
            ]
        );
        assert_eq!(
            keys("", "/docker//swarm/./nodes/"),
            [
                "docker/swarm/nodes/",
                "docker/swarm/leader",
                "docker/swarm/lease",
                "docker/swarm/drained/"
            ]
        );
        let layout = KeyLayout::new("p/", KV_PATH_DEFAULT).unwrap();
        assert_eq!(
            layout.engine(&"[::1]:2375".parse().unwrap()),
            "p/docker/swarm/nodes/[::1]:2375"
        );
        assert_eq!(layout.nodes(), "p/docker/swarm/nodes");
    }

    #[test]
    fn clusters_with_other_paths_under_one_prefix_share_no_key() {
        assert_eq!(
            keys("p", "a/blue"),
            [
                "p/a/blue/",
                "p/a/leader-blue",
                "p/a/lease-blue",
                "p/a/drained-blue/"
            ]
        );
        assert_eq!(
            keys("", "blue"),
            ["blue/", "leader-blue", "lease-blue", "drained-blue/"]
        );
        assert_eq!(
            keys("p", "docker/swarm/nodes-staging")[1],
            "p/docker/swarm/leader-nodes-staging"
        );
    }

    #[test]
    fn refuses_paths_that_lead_elsewhere() {
        for (prefix, kv_path, error) in [
            ("a/../b", "n", PathError::Parent),
            ("a", "..", PathError::Parent),
            ("a\0", "n", PathError::Control),
            ("a", "n\n", PathError::Control),
            ("a", "/", PathError::Empty),
        ] {
            assert_eq!(KeyLayout::new(prefix, kv_path), Err(error));
        }
        assert_eq!(
            KeyLayout::new(&"x".repeat(256), "n"),
            Err(PathError::TooLong)
        );
    }

    proptest! {
        #[test]
        fn different_paths_never_share_a_key(prefix in "[ab/]{0,4}", one in "[ab/.]{1,6}", two in "[ab/.]{1,6}") {
            if let (Ok(one), Ok(two)) = (KeyLayout::new(&prefix, &one), KeyLayout::new(&prefix, &two)) {
                prop_assert_eq!(one.nodes() == two.nodes(), one.lease() == two.lease());
                prop_assert_eq!(one.nodes() == two.nodes(), one.leader() == two.leader());
                prop_assert!(!one.lease().starts_with(&two.nodes_prefix()) || two.nodes() != one.nodes());
            }
        }

        #[test]
        fn cleaning_never_panics_and_is_done_once(text in "\\PC{0,20}[/.]{0,6}\\PC{0,20}") {
            if let Ok(clean) = clean_path(&text) {
                prop_assert_eq!(clean_path(&clean), Ok(clean.clone()));
                prop_assert!(!clean.contains("//"));
            }
        }
    }
}
