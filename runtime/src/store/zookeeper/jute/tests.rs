//! What is written and read, byte by byte.

use super::*;
use proptest::prelude::*;

#[test]
fn a_swap_is_written_as_zookeeper_reads_it() {
    let swap = Op::Multi(vec![
        Op::Check {
            path: "/g".into(),
            version: 3,
        },
        Op::Set {
            path: "/l".into(),
            data: b"v".to_vec(),
            version: 7,
        },
    ]);
    let mut expected = Vec::new();
    for part in [
        &[0, 0, 0, 62][..],
        &[0, 0, 0, 9, 0, 0, 0, 14],
        &[0, 0, 0, 13, 0, 255, 255, 255, 255],
        &[0, 0, 0, 2, b'/', b'g', 0, 0, 0, 3],
        &[0, 0, 0, 5, 0, 255, 255, 255, 255],
        &[0, 0, 0, 2, b'/', b'l', 0, 0, 0, 1, b'v', 0, 0, 0, 7],
        &[255, 255, 255, 255, 1, 255, 255, 255, 255],
    ] {
        expected.extend_from_slice(part);
    }
    expected[3] = u8::try_from(expected.len() - 4).unwrap();
    assert_eq!(swap.message(9, false), expected);
}

#[test]
fn a_transaction_tells_which_step_failed() {
    let answer = |codes: &[i32]| {
        let mut body = BytesMut::new();
        for code in codes {
            put_step(&mut body, -1, false);
            body.put_i32(*code);
        }
        put_step(&mut body, -1, true);
        read_multi(body.freeze())
    };
    for codes in [&[0, -103][..], &[-103, -2], &[0, -103, -2]] {
        assert_eq!(answer(codes), Ok(Err(Code::BAD_VERSION)), "{codes:?}");
    }
    assert_eq!(answer(&[]), Ok(Ok(Vec::new())));
}

#[test]
fn messages_come_in_pieces_and_have_a_limit() {
    let whole = ping();
    let mut received = BytesMut::new();
    for byte in &whole[..whole.len() - 1] {
        received.put_u8(*byte);
        assert_eq!(take_message(&mut received), Ok(None));
    }
    received.put_u8(whole[whole.len() - 1]);
    assert_eq!(take_message(&mut received), Ok(Some(whole.slice(4..))));
    for length in [-1_i32, i32::MAX] {
        let mut received = BytesMut::from(&length.to_be_bytes()[..]);
        assert_eq!(take_message(&mut received), Err(Garbled));
    }
}

proptest! {
    #[test]
    fn reading_never_panics(bytes in proptest::collection::vec(prop_oneof![Just(0), Just(1), Just(255), any::<u8>()], 0..120)) {
        let bytes = Bytes::from(bytes);
        let _ = take_message(&mut BytesMut::from(bytes.as_ref()));
        let _ = Welcome::read(bytes.clone());
        let _ = Reply::read(bytes.clone());
        let _ = event_path(bytes.clone());
        let _ = read_data(bytes.clone());
        let _ = read_names(bytes.clone());
        let _ = read_multi(bytes);
    }
}
