//! From a method and a request target to a [`Route`], and back to a path.

use super::names::{Name, NameError, check_segment, decode};
use super::table::Row;
use super::version::VersionError;
use super::{
    ApiVersion, CheckpointRef, ContainerAction, ContainerRef, ExecAction, ExecRef, Fixed,
    ImageAction, ImageRef, Method, NetworkAction, NetworkRef, ObjectAction, ObjectKind, ObjectRef,
    PluginAction, PluginRef, Query, VolumeAction, VolumeRef,
};

/// The head of a request, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method. Differs from [`Route::method`] only for `HEAD /_ping`.
    pub method: Method,
    /// The version in the path, if there was one. Whether it is supported is not judged here.
    pub version: Option<ApiVersion>,
    /// What is asked for.
    pub route: Route,
    /// The query as it came.
    pub query: Query,
}

/// A route of the Engine API with the names its path holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    /// A path without names.
    Fixed(Fixed),
    /// One container.
    Container(ContainerRef, ContainerAction),
    /// `DELETE /containers/{name}/checkpoints/{checkpoint}`
    CheckpointRemove(ContainerRef, CheckpointRef),
    /// One exec instance.
    Exec(ExecRef, ExecAction),
    /// One image.
    Image(ImageRef, ImageAction),
    /// `GET /distribution/{name}/json`
    Distribution(ImageRef),
    /// One network.
    Network(NetworkRef, NetworkAction),
    /// One volume.
    Volume(VolumeRef, VolumeAction),
    /// One plugin.
    Plugin(PluginRef, PluginAction),
    /// One object of swarm mode.
    Object(ObjectKind, ObjectRef, ObjectAction),
}

/// Why a request has no route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No route has this path.
    #[error("page not found")]
    NotFound,
    /// The path exists with other methods only.
    #[error("method not allowed here; allowed: {}", list(allowed))]
    MethodNotAllowed {
        /// What the `Allow` header has to say.
        allowed: Vec<Method>,
    },
    /// The target is not a path: `*`, an absolute URL, a fragment, a control character or space.
    #[error("invalid request target: a path that starts with / is needed")]
    Target,
    /// The path is not in canonical form, or could be read in two ways.
    #[error("invalid request path: {0}")]
    Path(#[from] NameError),
    /// `%2f` in a name that cannot hold a slash.
    #[error("invalid request path: escaped slash in {0:?}")]
    EscapedSlash(String),
    /// Numbers in the version prefix that no version can have.
    #[error(transparent)]
    Version(#[from] VersionError),
}

fn list(methods: &[Method]) -> String {
    let names: Vec<_> = methods.iter().map(|method| method.as_str()).collect();
    names.join(", ")
}

impl RouteError {
    /// The HTTP status this is answered with. Unlike classic Swarm a known path with a wrong method is 405.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::NotFound => 404,
            Self::MethodNotAllowed { .. } => 405,
            Self::Target | Self::Path(_) | Self::EscapedSlash(_) | Self::Version(_) => 400,
        }
    }
}

impl Request {
    /// Reads a request line: the method and the target with its query.
    ///
    /// The path is decoded once. What two readers might read differently is refused: `.`, `..` and empty segments,
    /// control characters, broken escapes, `%2f` where a name cannot hold a slash.
    ///
    /// # Errors
    /// See [`RouteError`]; each has its HTTP status.
    pub fn parse(method: &str, target: &str) -> Result<Self, RouteError> {
        let unfit = |c: char| c.is_control() || c == ' ' || c == '#';
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let path = path.strip_prefix('/').ok_or(RouteError::Target)?;
        if target.contains(unfit) {
            return Err(RouteError::Target);
        }
        let (version, segments) = segments(path)?;
        let known = Method::named(method);
        let (method, route) = known
            .and_then(|method| Some((method, find(method, &segments)?)))
            .ok_or_else(|| missing(&segments))?;
        Ok(Self {
            method,
            version,
            route,
            query: Query::new(query),
        })
    }

    /// The request target in canonical form, with the version prefix and query it came with.
    #[must_use]
    pub fn target(&self) -> String {
        let mut target = self.route.path(self.version);
        if !self.query.is_empty() {
            target.push('?');
            target.push_str(self.query.as_str());
        }
        target
    }
}

impl Route {
    /// The method of this route.
    #[must_use]
    pub fn method(&self) -> Method {
        match self {
            Self::Fixed(action) => action.method(),
            Self::Container(_, action) => action.method(),
            Self::CheckpointRemove(..) => Method::Delete,
            Self::Exec(_, action) => action.method(),
            Self::Image(_, action) => action.method(),
            Self::Distribution(_) => Method::Get,
            Self::Network(_, action) => action.method(),
            Self::Volume(_, action) => action.method(),
            Self::Plugin(_, action) => action.method(),
            Self::Object(_, _, action) => action.method(),
        }
    }

    /// The path with placeholders for names: few values, fit for metrics and logs.
    #[must_use]
    pub fn template(&self) -> &'static str {
        match self {
            Self::Fixed(action) => action.template(),
            Self::Container(_, action) => action.template(),
            Self::CheckpointRemove(..) => "/containers/{name}/checkpoints/{checkpoint}",
            Self::Exec(_, action) => action.template(),
            Self::Image(_, action) => action.template(),
            Self::Distribution(_) => "/distribution/{name}/json",
            Self::Network(_, action) => action.template(),
            Self::Volume(_, action) => action.template(),
            Self::Plugin(_, action) => action.template(),
            Self::Object(_, _, action) => action.template(),
        }
    }

    /// The path in canonical form, below `version` if there is one, with the names the client used.
    #[must_use]
    pub fn path(&self, version: Option<ApiVersion>) -> String {
        let mut path = version.map_or_else(String::new, |version| format!("/v{version}"));
        let mut named = |collection: &str, name: &dyn Name, rest: &str| {
            path.push('/');
            path.push_str(collection);
            name.push_to(&mut path);
            path.push_str(rest);
        };
        match self {
            Self::Fixed(action) => path.push_str(action.path()),
            Self::Container(name, action) => named("containers", name, action.path()),
            Self::CheckpointRemove(name, checkpoint) => {
                named("containers", name, "/checkpoints");
                checkpoint.push_to(&mut path);
            }
            Self::Exec(id, action) => named("exec", id, action.path()),
            Self::Image(name, action) => named("images", name, action.path()),
            Self::Distribution(name) => named("distribution", name, "/json"),
            Self::Network(name, action) => named("networks", name, action.path()),
            Self::Volume(name, action) => named("volumes", name, action.path()),
            Self::Plugin(name, action) => named("plugins", name, action.path()),
            Self::Object(kind, name, action) => {
                named(kind.collection(), name, action.path());
            }
        }
        path
    }

    /// The path for an engine, which calls the container, network, volume or exec instance `id`.
    ///
    /// Built from parts: classic Swarm replaced the first occurrence of the name in the text of the path, which
    /// corrupted it for names like `co` (spec/classic.md, A1). Images and plugins keep their names; a route without a
    /// name ignores `id`.
    ///
    /// # Errors
    /// When `id`, which an engine reported, is not fit for a path.
    pub fn engine_path(&self, id: &str, version: ApiVersion) -> Result<String, NameError> {
        // An ID is one segment even where a client may say `node/name`.
        let one = || ObjectRef::new(id);
        let route = match self {
            Self::Container(_, action) => {
                Self::Container(ContainerRef::new(one()?.as_str())?, *action)
            }
            Self::CheckpointRemove(_, checkpoint) => {
                Self::CheckpointRemove(ContainerRef::new(one()?.as_str())?, checkpoint.clone())
            }
            Self::Exec(_, action) => Self::Exec(ExecRef::new(one()?.as_str())?, *action),
            Self::Network(_, action) => Self::Network(NetworkRef::new(one()?.as_str())?, *action),
            Self::Volume(_, action) => Self::Volume(VolumeRef::new(one()?.as_str())?, *action),
            Self::Fixed(_)
            | Self::Image(..)
            | Self::Distribution(_)
            | Self::Plugin(..)
            | Self::Object(..) => return Ok(self.path(Some(version))),
        };
        Ok(route.path(Some(version)))
    }
}

/// The version prefix and the decoded segments behind it, all of them fit for a canonical path.
fn segments(path: &str) -> Result<(Option<ApiVersion>, Vec<String>), RouteError> {
    let mut raw = path.split('/').peekable();
    let mut version = None;
    if let Some(prefix) = raw.next_if(|first| ApiVersion::looks_like_prefix(first)) {
        version = Some(prefix.trim_start_matches('v').parse()?);
    }
    let mut segments = Vec::new();
    while let Some(segment) = raw.next() {
        let decoded = decode(segment)?;
        if decoded.is_empty() && raw.peek().is_none() {
            // A trailing slash, which the Engine API has on one route only.
            return match segments.as_slice() {
                [only] if only == "networks" => Ok((version, segments)),
                _ => Err(RouteError::NotFound),
            };
        }
        let slashes = matches!(
            segments.first().map(String::as_str),
            Some("images" | "distribution" | "plugins")
        );
        if decoded.contains('/') && !slashes {
            return Err(RouteError::EscapedSlash(decoded));
        }
        for part in decoded.split('/') {
            check_segment(part)?;
            segments.push(part.to_owned());
        }
    }
    Ok((version, segments))
}

/// The error for segments without a route under the given method.
fn missing(segments: &[String]) -> RouteError {
    let allowed: Vec<_> = Method::ALL
        .into_iter()
        .filter(|method| find(*method, segments).is_some())
        .collect();
    if allowed.is_empty() {
        RouteError::NotFound
    } else {
        RouteError::MethodNotAllowed { allowed }
    }
}

fn find(method: Method, segments: &[String]) -> Option<Route> {
    if let Some(fixed) = find_fixed(method, segments) {
        return Some(Route::Fixed(fixed));
    }
    let (collection, rest) = segments.split_first()?;
    match collection.as_str() {
        "containers" => find_checkpoint(method, rest)
            .or_else(|| named(method, rest).map(|(name, action)| Route::Container(name, action))),
        "exec" => named(method, rest).map(|(id, action)| Route::Exec(id, action)),
        "images" => named(method, rest).map(|(name, action)| Route::Image(name, action)),
        "distribution" => match rest.split_last() {
            Some((last, name)) if last == "json" && method == Method::Get => {
                ImageRef::from_segments(name).ok().map(Route::Distribution)
            }
            _ => None,
        },
        "networks" => named(method, rest).map(|(name, action)| Route::Network(name, action)),
        "volumes" => named(method, rest).map(|(name, action)| Route::Volume(name, action)),
        "plugins" => named(method, rest).map(|(name, action)| Route::Plugin(name, action)),
        other => {
            let kind = ObjectKind::ALL
                .into_iter()
                .find(|kind| kind.collection() == other)?;
            let (id, action) = named(method, rest)?;
            kind.has(action).then_some(Route::Object(kind, id, action))
        }
    }
}

fn find_fixed(method: Method, segments: &[String]) -> Option<Fixed> {
    let is = |path: &str| path.split('/').skip(1).eq(segments.iter());
    let listed = Fixed::ALL
        .iter()
        .find(|row| row.method() == method && is(row.path()));
    // The alias is one of spec/classic.md section 4.2.
    let others = [
        (Method::Head, "/_ping", Fixed::Ping),
        (Method::Get, "/containers/ps", Fixed::ContainerList),
    ];
    listed.copied().or_else(|| {
        others
            .into_iter()
            .find_map(|(other, path, fixed)| (other == method && is(path)).then_some(fixed))
    })
}

fn find_checkpoint(method: Method, rest: &[String]) -> Option<Route> {
    let [name @ .., word, checkpoint] = rest else {
        return None;
    };
    if method != Method::Delete || word != "checkpoints" {
        return None;
    }
    let name = ContainerRef::from_segments(name).ok()?;
    let checkpoint = CheckpointRef::from_segments(std::slice::from_ref(checkpoint)).ok()?;
    Some(Route::CheckpointRemove(name, checkpoint))
}

/// The action whose path ends `rest`, and the name before it.
fn named<N: Name, A: Row>(method: Method, rest: &[String]) -> Option<(N, A)> {
    A::ALL
        .iter()
        .filter(|action| action.method() == method)
        .find_map(|action| {
            let tail = action.path().split('/').skip(1);
            let (name, end) =
                rest.split_at_checked(rest.len().checked_sub(tail.clone().count())?)?;
            tail.eq(end.iter())
                .then(|| N::from_segments(name).ok())
                .flatten()
                .map(|name| (name, *action))
        })
}
