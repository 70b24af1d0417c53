use super::*;

/// A server and a client of managers that know what `ca.crl.pem` revokes.
fn revoking(folder: &Folder, platform: &SharedPlatform) -> (Arc<ServerTls>, Arc<ClientTls>) {
    let list = Some(folder.file("--tlscrl", "ca.crl.pem"));
    let listener = ListenerTls {
        revoked: list.clone(),
        ..folder.listens("ca", "manager")
    };
    let opens = TlsConfig {
        revoked: list,
        ..folder.opens("ca", "manager")
    };
    (
        ServerTls::new(platform, &listener).unwrap(),
        ClientTls::to_managers(platform, &opens).unwrap(),
    )
}

#[tokio::test(start_paused = true)]
async fn revoked_certificates_are_refused_on_both_sides_once_they_are_listed() {
    let (folder, platform) = (Folder::new(), TestPlatform::new() as SharedPlatform);
    let ca = Ca::new(&folder, "ca", platform.wall());
    ca.issue(Role::Manager, "manager", HOST);
    ca.issue(Role::Client, "client", "me");
    ca.issue(Role::Client, "lost", "me");
    ca.revoke("ca", &[]);
    let (server, peer) = revoking(&folder, &platform);
    let mut keeper = Keeper::new(&platform);
    keeper.add_server(&server);
    keeper.add_client(&peer);
    let opens = async |name: &str| {
        let client = ClientTls::new(&platform, &folder.opens("ca", name)).unwrap();
        let (dialled, accepted) = meet(&client, &server).await;
        accepted.map(|_| drop(dialled)).is_ok()
    };
    assert!(opens("client").await && opens("lost").await);
    meet(&peer, &server).await.0.unwrap();
    ca.revoke("ca", &["lost", "manager"]);
    assert!(keeper.reload());
    assert!(opens("client").await && !opens("lost").await);
    let error = told(meet(&peer, &server).await.0);
    assert!(
        error.contains("the certificate there is revoked"),
        "{error}"
    );
    // Nothing is let in because a list is broken.
    folder.write("ca.crl.pem", "no list\n");
    assert!(!keeper.reload());
    assert!(opens("client").await && !opens("lost").await);
}

#[tokio::test(start_paused = true)]
async fn without_a_list_of_its_ca_nobody_is_let_in() {
    let (folder, platform) = house();
    Ca::new(&folder, "other", platform.wall()).revoke("ca", &[]);
    let (server, peer) = revoking(&folder, &platform);
    let client = ClientTls::new(&platform, &folder.opens("ca", "client")).unwrap();
    assert!(meet(&client, &server).await.1.is_err());
    let listens = ServerTls::new(&platform, &folder.listens("ca", "manager")).unwrap();
    let error = told(meet(&peer, &listens).await.0);
    assert!(error.contains("--tlscrl has no revocation list"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_should_have_been_replaced_is_told_of() {
    const DAY: u64 = 24 * 3600 * 1_000_000_000;
    let (folder, platform) = (Folder::new(), TestPlatform::new() as SharedPlatform);
    for (age, told) in [(29, false), (31, true)] {
        let ca = Ca::new(&folder, "ca", Wall(platform.wall().0 - age * DAY));
        ca.issue(Role::Manager, "manager", HOST);
        ca.revoke("ca", &[]);
        let (server, peer) = revoking(&folder, &platform);
        let mut keeper = Keeper::new(&platform);
        keeper.add_server(&server);
        keeper.add_client(&peer);
        let warnings = keeper.ends_to_tell();
        assert_eq!(warnings.len(), usize::from(told), "{age}: {warnings:?}");
        let told = |warning: &String| warning.contains("list --tlscrl ");
        assert!(warnings.iter().all(told), "{age}: {warnings:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_is_refused_once_its_certificate_is_listed() {
    let (folder, platform) = (Folder::new(), TestPlatform::new() as SharedPlatform);
    let ca = Ca::new(&folder, "ca", platform.wall());
    ca.issue(Role::Manager, "manager", "me");
    ca.issue(Role::Engine, "engine", HOST);
    ca.revoke("ca", &[]);
    let opens = TlsConfig {
        revoked: Some(folder.file("--engine-tlscrl", "ca.crl.pem")),
        ..folder.opens("ca", "manager")
    };
    let client = ClientTls::new(&platform, &opens).unwrap();
    let mut keeper = Keeper::new(&platform);
    keeper.add_client(&client);
    let engine = ServerTls::new(&platform, &folder.listens("ca", "engine")).unwrap();
    meet(&client, &engine).await.0.unwrap();
    ca.revoke("ca", &["engine"]);
    assert!(keeper.reload());
    let error = told(meet(&client, &engine).await.0);
    assert!(
        error.contains("the certificate there is revoked"),
        "{error}"
    );
    // A list of another CA says nothing of it.
    Ca::new(&folder, "other", platform.wall()).revoke("ca", &[]);
    assert!(keeper.reload());
    let error = told(meet(&client, &engine).await.0);
    assert!(
        error.contains("--engine-tlscrl has no revocation list"),
        "{error}"
    );
}

#[test]
fn lists_that_cannot_be_used_are_named() {
    let (folder, platform) = house();
    let listener = ListenerTls {
        revoked: Some(folder.file("--tlscrl", "ca.crl.pem")),
        ..folder.listens("ca", "manager")
    };
    let error = || {
        ServerTls::new(&platform, &listener)
            .err()
            .unwrap()
            .to_string()
    };
    assert!(error().starts_with("cannot read --tlscrl "), "{}", error());
    for text in [
        "nothing in here\n",
        "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n",
    ] {
        folder.write("ca.crl.pem", text);
        let found = error();
        assert!(
            found.contains("--tlscrl") && found.contains("no usable revocation list"),
            "{found}"
        );
    }
    folder.write("ca.crl.pem", &"#".repeat((8 << 20) + 1));
    assert!(error().contains("larger than 8388608 bytes"), "{}", error());
}
