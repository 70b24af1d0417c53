//! Making text from outside harmless in a log line.

/// How much of one value is written, in bytes: a peer's answer may end up in an error text.
const VALUE_LEN_MAX: usize = 8 * 1_024;

/// `text` in double quotes with everything escaped that does not print, as Go's `%q`.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in shortened(text).chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c => push_printable(&mut out, c),
        }
    }
    push_ellipsis(&mut out, text);
    out.push('"');
    out
}

/// `text` with everything escaped that does not print: no line break, no terminal sequence survives.
pub(super) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in shortened(text).chars() {
        push_printable(&mut out, c);
    }
    push_ellipsis(&mut out, text);
    out
}

/// As logrus: quoted when anything but `[A-Za-z0-9-._/@^+]` is in it.
pub(super) fn quoted_if_needed(text: &str) -> String {
    let plain = text.bytes().all(|byte| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'/' | b'@' | b'^' | b'+')
    });
    if plain && text.len() <= VALUE_LEN_MAX {
        text.to_owned()
    } else {
        quoted(text)
    }
}

/// Cut at a character boundary; [`push_ellipsis`] marks the cut.
pub(super) fn shortened(text: &str) -> &str {
    let mut end = text.len().min(VALUE_LEN_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}

fn push_ellipsis(out: &mut String, text: &str) {
    if text.len() > VALUE_LEN_MAX {
        out.push('…');
    }
}

fn push_printable(out: &mut String, c: char) {
    let code = u32::from(c);
    match c {
        '\u{7}' => out.push_str("\\a"),
        '\u{8}' => out.push_str("\\b"),
        '\u{b}' => out.push_str("\\v"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        ' '..='~' => out.push(c),
        c if c.is_ascii() => out.push_str(&format!("\\x{code:02x}")),
        // `escape_debug` leaves printing characters alone and knows the Unicode tables.
        c if c.escape_debug().len() == 1 => out.push(c),
        _ if code <= 0xffff => out.push_str(&format!("\\u{code:04x}")),
        _ => out.push_str(&format!("\\U{code:08x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_as_go_does() {
        for (text, expected) in [
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("it's", "\"it's\""),
            ("say \"hi\" \\", "\"say \\\"hi\\\" \\\\\""),
            (
                "a\nb\r\t\u{7}\u{8}\u{b}\u{c}",
                "\"a\\nb\\r\\t\\a\\b\\v\\f\"",
            ),
            ("\u{1b}[31m\0\u{7f}", "\"\\x1b[31m\\x00\\x7f\""),
            ("grün 日本", "\"grün 日本\""),
            ("\u{9b}31m\u{202e}\u{2028}", "\"\\u009b31m\\u202e\\u2028\""),
            ("\u{e0001}", "\"\\U000e0001\""),
        ] {
            assert_eq!(quoted(text), expected);
        }
    }

    #[test]
    fn values_of_plain_characters_stay_bare() {
        for text in ["", "info", "/v1.24/x", "a@b", "x^y+z", "10.0.0.1"] {
            assert_eq!(quoted_if_needed(text), text);
        }
        for text in [":4000", "a b", "a=b", "é", "a,b"] {
            assert_eq!(quoted_if_needed(text), quoted(text));
        }
    }

    #[test]
    fn long_values_are_cut() {
        let long = "é".repeat(10_000);
        let shown = printable(&long);
        assert!(shown.len() < VALUE_LEN_MAX + 8);
        assert!(shown.ends_with('…'));
        assert!(quoted_if_needed(&"a".repeat(10_000)).ends_with("…\""));
    }

    proptest! {
        #[test]
        fn nothing_that_controls_a_terminal_survives(text in "(\\PC|\\p{C}){0,20}") {
            for shown in [quoted(&text), printable(&text), quoted_if_needed(&text)] {
                prop_assert!(!shown.chars().any(char::is_control), "{shown:?}");
            }
        }
    }
}
