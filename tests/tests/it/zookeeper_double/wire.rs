//! What a client says, byte by byte.

use anyhow::{Result, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::LIMIT;

pub(super) async fn send(stream: &mut TcpStream, body: &[u8]) -> Result<()> {
    let mut message = BytesMut::new();
    put(&mut message, body);
    Ok(timeout(LIMIT, stream.write_all(&message)).await??)
}

pub(super) async fn receive(stream: &mut TcpStream) -> Result<Bytes> {
    let length = timeout(LIMIT, stream.read_i32()).await??;
    let mut message = vec![0; usize::try_from(length)?];
    timeout(LIMIT, stream.read_exact(&mut message)).await??;
    Ok(message.into())
}

pub(super) fn put(out: &mut BytesMut, bytes: &[u8]) {
    out.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
    out.put_slice(bytes);
}

pub(super) fn take(body: &mut Bytes) -> Result<Bytes> {
    let length = usize::try_from(body.try_get_i32()?.max(0))?;
    ensure!(length <= body.len(), "a short message");
    Ok(body.split_to(length))
}

pub(super) fn text(body: &mut Bytes) -> Result<String> {
    let bytes = take(body)?;
    Ok(format!(" {:?}", String::from_utf8(bytes.into())?))
}

pub(super) fn names(body: &mut Bytes) -> Result<String> {
    let count = body.try_get_i32()?;
    let names = (0..count).map(|_| text(body));
    let mut names = names.collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names.concat())
}

pub(super) fn path(path: &str, watch: bool) -> BytesMut {
    let mut body = BytesMut::new();
    put(&mut body, path.as_bytes());
    body.put_u8(u8::from(watch));
    body
}

pub(super) fn versioned(path: &str, version: i32) -> BytesMut {
    let mut body = BytesMut::new();
    put(&mut body, path.as_bytes());
    body.put_i32(version);
    body
}

pub(super) fn set(path: &str, data: &str, version: i32) -> BytesMut {
    let mut body = BytesMut::new();
    put(&mut body, path.as_bytes());
    put(&mut body, data.as_bytes());
    body.put_i32(version);
    body
}

/// With all rights for everybody.
pub(super) fn create(path: &str, data: &str, flags: i32) -> BytesMut {
    let mut body = BytesMut::new();
    put(&mut body, path.as_bytes());
    put(&mut body, data.as_bytes());
    body.put_i32(1);
    body.put_i32(31);
    put(&mut body, b"world");
    put(&mut body, b"anyone");
    body.put_i32(flags);
    body
}

pub(super) fn multi(all: &[(i32, BytesMut)]) -> BytesMut {
    let mut body = BytesMut::new();
    let end = (-1, BytesMut::new());
    for (step, (kind, content)) in all.iter().chain([&end]).enumerate() {
        body.put_i32(*kind);
        body.put_u8(u8::from(step == all.len()));
        body.put_i32(-1);
        body.put_slice(content);
    }
    body
}
