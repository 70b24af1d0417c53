use super::*;

fn files(ca: &str, cert: &str, key: &str) -> RawTlsFiles {
    let text = |text: &str| Some(text.to_owned());
    RawTlsFiles {
        ca: text(ca),
        cert: text(cert),
        key: text(key),
    }
}

fn verified() -> RawTls {
    RawTls {
        verify: true,
        own: files("ca", "c", "k"),
        ..RawTls::default()
    }
}

fn checked(raw: &RawTls) -> Result<(ManageTls, Vec<Warning>), String> {
    let mut warnings = Vec::new();
    let tls = raw
        .check(&mut warnings)
        .map_err(|error| error.to_string())?;
    Ok((tls, warnings))
}

fn path(file: Option<&TlsFile>) -> Option<&str> {
    file.and_then(|file| file.path.to_str())
}

#[test]
fn one_set_of_files_serves_all_roles() {
    let (tls, warnings) = checked(&verified()).unwrap();
    let listener = tls.listener.unwrap();
    assert_eq!(path(listener.clients.as_ref()), Some("ca"));
    assert_eq!(listener.managers, None);
    for role in [tls.peers.unwrap(), tls.engines.unwrap()] {
        assert_eq!(path(role.ca.as_ref()), Some("ca"));
        assert_eq!(role.identity, Some(listener.identity.clone()));
    }
    assert_eq!(warnings, []);
}

#[test]
fn a_role_may_have_files_of_its_own() {
    let raw = RawTls {
        peer: files("peer-ca", "", ""),
        engine: files("engine-ca", "ec", "ek"),
        ..verified()
    };
    let (tls, _) = checked(&raw).unwrap();
    let (peers, engines) = (tls.peers.unwrap(), tls.engines.unwrap());
    assert_eq!(path(peers.ca.as_ref()), Some("peer-ca"));
    assert_eq!(
        path(peers.identity.as_ref().map(|own| &own.cert)),
        Some("c")
    );
    assert_eq!(path(engines.ca.as_ref()), Some("engine-ca"));
    let identity = engines.identity.unwrap();
    assert_eq!(path(Some(&identity.cert)), Some("ec"));
    assert_eq!(identity.key.flag, "--engine-tlskey");
    let managers = tls.listener.unwrap().managers;
    assert_eq!(path(managers.as_ref()), Some("peer-ca"));
}

#[test]
fn tls_alone_checks_nobody_and_says_so() {
    let raw = RawTls {
        enabled: true,
        own: files("", "c", "k"),
        ..RawTls::default()
    };
    let (tls, warnings) = checked(&raw).unwrap();
    assert_eq!(tls.listener.unwrap().clients, None);
    assert_eq!(tls.peers.unwrap().ca, None);
    assert_eq!(tls.engines.unwrap().ca, None);
    assert_eq!(warnings, [Warning::TlsUnverified]);
    let told = Warning::TlsUnverified.to_string();
    assert!(told.contains("whoever can connect"), "{told}");
}

#[test]
fn revocation_lists_are_for_clients_and_managers_and_need_verification() {
    let with = |raw: RawTls| {
        let revoked = Some("crl".to_owned());
        checked(&RawTls { revoked, ..raw })
    };
    let (tls, _) = with(verified()).unwrap();
    let listener = tls.listener.unwrap();
    assert_eq!(path(listener.revoked.as_ref()), Some("crl"));
    assert_eq!(path(tls.peers.unwrap().revoked.as_ref()), Some("crl"));
    assert_eq!(tls.engines.unwrap().revoked, None);
    let unverified = RawTls {
        enabled: true,
        verify: false,
        ..verified()
    };
    assert!(with(unverified).unwrap_err().contains("--tlsverify"));
}

#[test]
fn engines_have_revocation_lists_of_their_own() {
    let with = |mode: &str| {
        checked(&RawTls {
            engine_mode: Some(mode.to_owned()),
            engine_revoked: Some("crl".to_owned()),
            ..verified()
        })
    };
    let (tls, _) = with("").unwrap();
    assert_eq!(path(tls.engines.unwrap().revoked.as_ref()), Some("crl"));
    assert_eq!(tls.listener.unwrap().revoked, None);
    for mode in ["on", "off"] {
        let error = with(mode).unwrap_err();
        assert!(error.starts_with("--engine-tlscrl requires"), "{error}");
    }
}

#[test]
fn engines_may_differ_from_the_rest() {
    let with = |mode: &str, raw: RawTls| {
        let engine_mode = Some(mode.to_owned());
        checked(&RawTls { engine_mode, ..raw })
    };
    assert_eq!(with("off", verified()).unwrap().0.engines, None);
    let (tls, warnings) = with("on", verified()).unwrap();
    assert_eq!(tls.engines.unwrap().ca, None);
    assert_eq!(warnings, [Warning::EnginesUnverified]);
    let engines_only = RawTls {
        engine: files("engine-ca", "", ""),
        ..RawTls::default()
    };
    let (tls, _) = with("verify", engines_only.clone()).unwrap();
    assert_eq!((tls.listener, tls.peers), (None, None));
    assert_eq!(tls.engines.unwrap().identity, None);
    let error = |mode, raw| with(mode, raw).unwrap_err();
    assert!(error("off", engines_only).contains("--engine-tls verify"));
    assert!(error("verify", RawTls::default()).contains("--engine-tlscacert"));
    assert!(error("x", verified()).contains("off, on or verify"));
}

#[test]
fn half_of_what_is_needed_is_refused_by_name() {
    let peers = RawTls {
        peer: files("", "pc", ""),
        ..verified()
    };
    assert!(
        checked(&peers)
            .unwrap_err()
            .contains("--peer-tlscert and --peer-tlskey")
    );
    let unverified = RawTls {
        verify: false,
        enabled: true,
        ..peers
    };
    assert!(checked(&unverified).unwrap_err().contains("--tlsverify"));
}

#[test]
fn clients_read_what_the_docker_command_reads() {
    let mut raw = RawClientTls {
        verify: true,
        docker_cert_path: Some("/certs".to_owned()),
        ..RawClientTls::default()
    };
    let tls = raw.check().unwrap().unwrap();
    assert_eq!(path(tls.ca.as_ref()), Some("/certs/ca.pem"));
    let identity = tls.identity.unwrap();
    assert_eq!(path(Some(&identity.key)), Some("/certs/key.pem"));
    raw.files.ca = Some("mine".to_owned());
    let tls = raw.check().unwrap().unwrap();
    assert_eq!(path(tls.ca.as_ref()), Some("mine"));
    raw.verify = false;
    assert_eq!(raw.check(), Err(ConfigError::TlsUnused));
    raw.files.ca = None;
    assert_eq!(raw.check(), Ok(None));
    raw.docker_cert_path = None;
    raw.verify = true;
    assert_eq!(raw.check(), Err(ConfigError::ClientTlsCa));
}
