//! `swarm certs init`: a small CA, for trying TLS out.

use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use swarm_core::config::Certs;

use crate::cli::write_or_ignore;
use crate::platform::SharedPlatform;
use crate::tls::authority::{Authority, CERTIFICATE_DAYS, Role};

/// A file to be.
struct Draft {
    path: PathBuf,
    text: String,
    mode: u32,
}

/// Makes a CA, and a certificate each for managers, engines and a client. Nothing is overwritten.
///
/// # Errors
/// When one of the files is there already, or cannot be written.
pub async fn certs(platform: SharedPlatform, config: Certs) -> anyhow::Result<()> {
    let drafts = drafts(&platform, &config)?;
    if let Some(there) = drafts.iter().find(|draft| draft.path.exists()) {
        bail!(
            "{} is there already, and nothing is overwritten: name another directory with --dir",
            there.path.display()
        );
    }
    for draft in &drafts {
        write(draft).with_context(|| format!("cannot write {}", draft.path.display()))?;
    }
    write_or_ignore(&mut std::io::stdout(), &next_steps(&config.dir));
    Ok(())
}

fn drafts(platform: &SharedPlatform, config: &Certs) -> anyhow::Result<Vec<Draft>> {
    let authority = Authority::new("swarm trial CA", platform.wall())?;
    let draft = |path: PathBuf, text: String, mode| Draft { path, text, mode };
    let dir = &config.dir;
    let mut drafts = vec![
        draft(dir.join("ca.pem"), authority.cert(), 0o644),
        draft(dir.join("ca-key.pem"), authority.key(), 0o600),
    ];
    for (role, folder, name, names) in [
        (Role::Manager, "manager", "swarm manager", &config.managers),
        (Role::Engine, "engine", "docker engine", &config.engines),
        (Role::Client, "client", config.client.as_str(), &Vec::new()),
    ] {
        let issued = authority
            .issue(role, name, names)
            .with_context(|| format!("cannot make a certificate for {}", names.join(", ")))?;
        // What DOCKER_CERT_PATH wants to find.
        let folder = dir.join(folder);
        drafts.push(draft(folder.join("ca.pem"), authority.cert(), 0o644));
        drafts.push(draft(folder.join("cert.pem"), issued.cert, 0o644));
        drafts.push(draft(folder.join("key.pem"), issued.key, 0o600));
    }
    Ok(drafts)
}

fn write(draft: &Draft) -> std::io::Result<()> {
    if let Some(folder) = draft.path.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)?;
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(draft.mode);
    options.open(&draft.path)?.write_all(draft.text.as_bytes())
}

fn next_steps(dir: &Path) -> String {
    let shown = dir.display();
    let files = |role: &str| {
        format!(
            "--tlsverify --tlscacert {shown}/{role}/ca.pem --tlscert {shown}/{role}/cert.pem \
             --tlskey {shown}/{role}/key.pem"
        )
    };
    format!(
        "Made a CA and certificates in {shown}, good for {CERTIFICATE_DAYS} days. They are for trying out: who has \
         {shown}/ca-key.pem can pass as anybody.\n\n\
         Engines:   dockerd -H tcp://0.0.0.0:2376 {}\n\
         Managers:  swarm manage -H :4000 {} <discovery>\n\
         Clients:   export DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH={shown}/client DOCKER_HOST=tcp://<manager>:4000\n",
        files("engine"),
        files("manager")
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    use super::*;
    use crate::platform::TokioPlatform;
    use crate::tls::testing::Folder;

    #[tokio::test]
    async fn keys_are_private_and_nothing_is_overwritten() {
        let platform: SharedPlatform = Arc::new(TokioPlatform::new().unwrap());
        let folder = Folder::new();
        let dir = folder.path().join("certs");
        let config = Certs {
            dir: dir.clone(),
            managers: vec!["localhost".to_owned(), "10.0.0.1".to_owned()],
            engines: vec!["localhost".to_owned()],
            client: "me".to_owned(),
        };
        certs(platform.clone(), config.clone()).await.unwrap();
        for (file, mode) in [
            ("ca.pem", 0o644),
            ("ca-key.pem", 0o600),
            ("client/ca.pem", 0o644),
            ("client/cert.pem", 0o644),
            ("client/key.pem", 0o600),
            ("manager/key.pem", 0o600),
            ("engine/key.pem", 0o600),
        ] {
            let permissions = std::fs::metadata(dir.join(file)).unwrap().permissions();
            assert_eq!(permissions.mode() & 0o777, mode, "{file}");
        }
        let before = std::fs::read(dir.join("ca.pem")).unwrap();
        let error = certs(platform, config).await.unwrap_err().to_string();
        assert!(error.contains("nothing is overwritten"), "{error}");
        assert_eq!(std::fs::read(dir.join("ca.pem")).unwrap(), before);
    }
}
