use rustls::ClientConfig as RustlsConfig;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use super::super::verify::Anybody;
use super::*;

/// The application protocol that a client which offers `offered` ends up with.
async fn agreed(server: &ServerTls, offered: &[&str]) -> io::Result<Option<Vec<u8>>> {
    let mut config = RustlsConfig::builder_with_provider(provider())
        .with_protocol_versions(&VERSIONS)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider())))
        .with_no_client_auth();
    config.alpn_protocols = offered.iter().map(|name| name.as_bytes().into()).collect();
    let (near, far) = duplex(16 * 1024);
    let name = ServerName::try_from(HOST).unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let turns = Semaphore::new(1);
    let (dialled, _) = tokio::join!(
        connector.connect(name, near),
        server.accept(Box::new(far), &turns)
    );
    let stream = dialled?;
    Ok(stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec))
}

/// Docker's clients speak HTTP/1.1; what floods by HTTP/2 can do is not offered.
#[tokio::test(start_paused = true)]
async fn nobody_is_offered_http2() {
    let (folder, platform) = house();
    let listens = ListenerTls {
        clients: None,
        ..folder.listens("ca", "manager")
    };
    let server = ServerTls::new(&platform, &listens).unwrap();
    let http1 = Some(b"http/1.1".to_vec());
    assert_eq!(agreed(&server, &["h2", "http/1.1"]).await.unwrap(), http1);
    assert_eq!(agreed(&server, &[]).await.unwrap(), None);
    assert!(agreed(&server, &["h2"]).await.is_err());
}
