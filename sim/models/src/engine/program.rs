//! What a container "runs": its command line, read as a list of steps.
//!
//! Enough of a shell is understood for the commands people type at containers; everything else is taken for a server
//! that runs until it is stopped.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::console::Stream;

/// The most steps one script may have; what is beyond is ignored.
const MAX_STEPS: usize = 4_096;

/// One thing a process does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Writes.
    Write(Stream, Bytes),
    /// Waits.
    Sleep(Duration),
    /// Runs until it is stopped.
    Forever,
    /// Copies its input to its output until the input ends.
    Cat,
    /// Writes the content of a file.
    File(String),
    /// Writes numbered lines, without end if `left` is `None`.
    Chatter {
        left: Option<u64>,
        every: Duration,
        line: u64,
    },
    /// Reads commands from its input.
    Shell,
    /// Writes the date.
    Date,
    /// From here on SIGTERM does nothing.
    IgnoreTerm,
    /// Sets the result of the last command.
    Result(i64),
    /// Skips steps unless the last command succeeded (`true`) or failed (`false`).
    SkipUnless(bool, usize),
    /// Runs its body again and again.
    Loop(Arc<[Self]>),
    /// Ends with a code, or with the last command's.
    Exit(Option<i64>),
}

/// What a command can see of its surroundings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Surroundings {
    /// `NAME=value` pairs.
    pub(super) env: Vec<String>,
    /// The container's host name.
    pub(super) hostname: String,
}

/// A piece of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `;`, `&` or a new line.
    Then,
    And,
    Or,
    /// A redirection of the output to standard error.
    ToStderr,
    /// A redirection of the output to a file.
    Away,
}

/// Reads a command line as `execve` gets it.
pub(super) fn compile(command: &[String], around: &Surroundings) -> VecDeque<Step> {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    match words.as_slice() {
        [shell, flag, script, ..] if is_shell(shell) && is_script_flag(flag) => {
            script_steps(script, around)
        }
        words => VecDeque::from(simple(words, around)),
    }
}

/// Reads a script as `sh -c` gets it.
pub(super) fn script_steps(script: &str, around: &Surroundings) -> VecDeque<Step> {
    let tokens = tokenize(script, around);
    let mut steps = Vec::new();
    sequence(&tokens, around, &mut steps, 0);
    steps.truncate(MAX_STEPS);
    steps.into()
}

fn is_shell(word: &str) -> bool {
    matches!(base_name(word), "sh" | "bash" | "ash" | "dash")
}

fn is_script_flag(word: &str) -> bool {
    matches!(word, "-c" | "-ec" | "-xc" | "-lc" | "-exc" | "-euxc")
}

fn base_name(word: &str) -> &str {
    word.rsplit_once('/').map_or(word, |(_, base)| base)
}

/// One command with its arguments.
fn simple(words: &[&str], around: &Surroundings) -> Vec<Step> {
    let Some((command, arguments)) = words.split_first() else {
        return Vec::new();
    };
    let print = |text: String| vec![Step::Write(Stream::Stdout, text.into()), Step::Result(0)];
    match (base_name(command), arguments) {
        ("exec" | "nohup" | "tini" | "dumb-init" | "--", rest) => simple(rest, around),
        ("echo", ["-n", rest @ ..]) => print(rest.join(" ")),
        ("echo", rest) => print(format!("{}\n", rest.join(" "))),
        ("printf", [text, ..]) => print(text.replace("\\n", "\n").replace("\\t", "\t")),
        ("true" | ":" | "cd" | "set" | "export" | "ls" | "touch" | "mkdir" | "sync", _) => {
            vec![Step::Result(0)]
        }
        ("false", _) => vec![Step::Result(1)],
        ("exit", [code, ..]) => vec![Step::Exit(Some(code.parse::<u8>().unwrap_or(2).into()))],
        ("exit", []) => vec![Step::Exit(None)],
        ("sleep", [time, ..]) => match sleep_time(time) {
            Some(time) => vec![Step::Sleep(time), Step::Result(0)],
            None => vec![Step::Forever],
        },
        ("cat", [] | ["-"]) => vec![Step::Cat, Step::Result(0)],
        ("cat", files) => files
            .iter()
            .map(|file| Step::File((*file).to_owned()))
            .collect(),
        ("chatter", arguments) => vec![chatter(arguments), Step::Result(0)],
        ("trap", ["", ..]) => vec![Step::IgnoreTerm],
        ("date", _) => vec![Step::Date, Step::Result(0)],
        ("env" | "printenv", []) => {
            print(around.env.iter().map(|pair| format!("{pair}\n")).collect())
        }
        ("hostname", []) => print(format!("{}\n", around.hostname)),
        ("whoami", []) => print("root\n".to_owned()),
        ("pwd", []) => print("/\n".to_owned()),
        (name, []) if is_shell(name) => vec![Step::Shell],
        (name, ["-i" | "-l"]) if is_shell(name) => vec![Step::Shell],
        ("hello", []) => print("\nHello from Docker!\n".to_owned()),
        _ => vec![Step::Forever],
    }
}

/// `chatter N MS`: N lines (0: without end), one each MS milliseconds.
fn chatter(arguments: &[&str]) -> Step {
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<u64>().ok());
    Step::Chatter {
        left: number(0).filter(|lines| *lines > 0),
        every: Duration::from_millis(number(1).unwrap_or(1_000).max(1)),
        line: 0,
    }
}

/// `None` for `infinity` and what cannot be read.
fn sleep_time(text: &str) -> Option<Duration> {
    let (number, unit) = match text.chars().last()? {
        's' => (text.strip_suffix('s')?, 1.0),
        'm' => (text.strip_suffix('m')?, 60.0),
        'h' => (text.strip_suffix('h')?, 3_600.0),
        'd' => (text.strip_suffix('d')?, 86_400.0),
        _ => (text, 1.0),
    };
    let number: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(number * unit).ok()
}

/// Compiles commands up to the end or a closing `done`; returns how many tokens were used.
fn sequence(tokens: &[Token], around: &Surroundings, steps: &mut Vec<Step>, depth: usize) -> usize {
    let mut at = 0;
    let mut condition = None;
    while at < tokens.len() && steps.len() < MAX_STEPS {
        let rest = tokens.get(at..).unwrap_or_default();
        let length = rest
            .iter()
            .position(Token::ends_command)
            .unwrap_or(rest.len());
        let command = rest.get(..length).unwrap_or_default();
        let mut compiled = Vec::new();
        match command {
            [Token::Word(word), ..] if word == "done" => return at + 1,
            [Token::Word(word), ..] if word == "while" && depth < 8 => {
                at += endless_loop(rest, around, &mut compiled, depth);
            }
            command => {
                compiled = redirected(command, around);
                at += length;
            }
        }
        if let Some(success) = condition.take() {
            steps.push(Step::SkipUnless(success, compiled.len()));
        }
        steps.append(&mut compiled);
        match tokens.get(at) {
            Some(Token::And) => condition = Some(true),
            Some(Token::Or) => condition = Some(false),
            Some(Token::Then | Token::Word(_) | Token::ToStderr | Token::Away) | None => {}
        }
        if tokens.get(at).is_some_and(Token::ends_command) {
            at += 1;
        }
    }
    at
}

/// `while true; do …; done`. Another condition makes it a command that runs until it is stopped.
fn endless_loop(
    tokens: &[Token],
    around: &Surroundings,
    steps: &mut Vec<Step>,
    depth: usize,
) -> usize {
    let is = |at: usize, words: &[&str]| matches!(tokens.get(at), Some(Token::Word(word)) if words.contains(&word.as_str()));
    if !(is(1, &["true", ":"]) && tokens.get(2) == Some(&Token::Then) && is(3, &["do"])) {
        steps.push(Step::Forever);
        return tokens.len();
    }
    let mut body = Vec::new();
    let inside = tokens.get(4..).unwrap_or_default();
    let used = sequence(inside, around, &mut body, depth + 1);
    let waits = body.iter().any(|step| {
        matches!(step, Step::Sleep(time) if !time.is_zero())
            || matches!(step, Step::Forever | Step::Cat | Step::Chatter { .. })
    });
    if !waits {
        // A busy loop would never let time go on.
        body.push(Step::Sleep(Duration::from_millis(10)));
    }
    steps.push(Step::Loop(body.into()));
    4 + used
}

/// One command of a script, with its redirections.
fn redirected(command: &[Token], around: &Surroundings) -> Vec<Step> {
    let words: Vec<&str> = command
        .iter()
        .filter_map(|token| match token {
            Token::Word(word) => Some(word.as_str()),
            Token::Then | Token::And | Token::Or | Token::ToStderr | Token::Away => None,
        })
        .collect();
    if words.contains(&"|") {
        return vec![Step::Forever];
    }
    let mut steps = simple(&words, around);
    for step in &mut steps {
        if let Step::Write(stream, data) = step {
            if command.contains(&Token::ToStderr) {
                *stream = Stream::Stderr;
            } else if command.contains(&Token::Away) {
                *data = Bytes::new();
            }
        }
    }
    steps
}

impl Token {
    fn ends_command(&self) -> bool {
        match self {
            Self::Then | Self::And | Self::Or => true,
            Self::Word(_) | Self::ToStderr | Self::Away => false,
        }
    }
}

fn tokenize(script: &str, around: &Surroundings) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = script;
    while let Some(next) = rest.chars().next() {
        let symbols = [
            ("1>&2", Token::ToStderr),
            (">&2", Token::ToStderr),
            ("&&", Token::And),
            ("||", Token::Or),
            ("|", Token::Word("|".to_owned())),
            (";", Token::Then),
            ("&", Token::Then),
            ("\n", Token::Then),
        ];
        if let Some((after, token)) = symbols
            .into_iter()
            .find_map(|(text, token)| Some((rest.strip_prefix(text)?, token)))
        {
            tokens.push(token);
            rest = after;
        } else if next.is_whitespace() {
            rest = rest.trim_start_matches([' ', '\t', '\r']);
            if rest.starts_with(next) {
                rest = rest.get(next.len_utf8()..).unwrap_or_default();
            }
        } else if next == '#' {
            rest = rest
                .find('\n')
                .and_then(|end| rest.get(end..))
                .unwrap_or_default();
        } else if next == '>' || rest.starts_with("2>") {
            let target = rest.trim_start_matches(['2', '>']).trim_start();
            let (_, after) = word(target, around);
            if next == '>' {
                tokens.push(Token::Away);
            }
            rest = after;
        } else {
            let (text, after) = word(rest, around);
            tokens.push(Token::Word(text));
            rest = after;
        }
    }
    tokens
}

/// Takes one word with quotes, backslashes and variables off the front.
fn word<'a>(text: &'a str, around: &Surroundings) -> (String, &'a str) {
    let mut word = String::new();
    let mut quote = None;
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let after = rest.get(next.len_utf8()..).unwrap_or_default();
        match (quote, next) {
            (Some(open), close) if open == close => quote = None,
            (Some('\''), other) => word.push(other),
            (None, '\'' | '"') => quote = Some(next),
            (_, '\\') => {
                if let Some(escaped) = after.chars().next() {
                    word.push(escaped);
                    rest = after.get(escaped.len_utf8()..).unwrap_or_default();
                    continue;
                }
            }
            (_, '$') => {
                rest = variable(after, around, &mut word);
                continue;
            }
            (None, end) if end.is_whitespace() || matches!(end, ';' | '&' | '|' | '>') => {
                return (word, rest);
            }
            (_, other) => word.push(other),
        }
        rest = after;
    }
    (word, rest)
}

/// Puts the value of a variable at the start of `text` into `word`.
fn variable<'a>(text: &'a str, around: &Surroundings, word: &mut String) -> &'a str {
    let (braced, inner) = match text.strip_prefix('{') {
        Some(inner) => (true, inner),
        None => (false, text),
    };
    let length = inner
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(inner.len());
    let (name, after) = inner.split_at_checked(length).unwrap_or((inner, ""));
    if name.is_empty() {
        word.push('$');
        return text;
    }
    let value = around
        .env
        .iter()
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    match value {
        Some(value) => word.push_str(value),
        None if name == "HOSTNAME" => word.push_str(&around.hostname),
        None => {}
    }
    if braced {
        after.strip_prefix('}').unwrap_or(after)
    } else {
        after
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn steps(command: &[&str]) -> Vec<Step> {
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        let around = Surroundings {
            env: vec!["WHO=you".to_owned()],
            hostname: "h1".to_owned(),
        };
        compile(&command, &around).into()
    }

    fn out(text: &'static str) -> Step {
        Step::Write(Stream::Stdout, text.into())
    }

    #[test]
    fn plain_commands_are_understood() {
        assert_eq!(steps(&["echo", "a", "b"]), [out("a b\n"), Step::Result(0)]);
        assert_eq!(
            steps(&["/bin/sleep", "1.5"]),
            [Step::Sleep(Duration::from_millis(1_500)), Step::Result(0)]
        );
        assert_eq!(steps(&["sleep", "infinity"]), [Step::Forever]);
        assert_eq!(steps(&["false"]), [Step::Result(1)]);
        assert_eq!(steps(&["nginx", "-g", "daemon off;"]), [Step::Forever]);
        assert_eq!(steps(&["cat"]), [Step::Cat, Step::Result(0)]);
    }

    #[test]
    fn scripts_keep_quotes_variables_and_streams() {
        assert_eq!(
            steps(&[
                "sh",
                "-c",
                "echo 'a  b' \"$WHO\" ${WHO}s; echo err >&2; exit 3"
            ]),
            [
                out("a  b you yous\n"),
                Step::Result(0),
                Step::Write(Stream::Stderr, "err\n".into()),
                Step::Result(0),
                Step::Exit(Some(3)),
            ]
        );
    }

    #[test]
    fn conditions_skip_the_right_number_of_steps() {
        assert_eq!(
            steps(&["sh", "-c", "false && echo no || echo yes"]),
            [
                Step::Result(1),
                Step::SkipUnless(true, 2),
                out("no\n"),
                Step::Result(0),
                Step::SkipUnless(false, 2),
                out("yes\n"),
                Step::Result(0),
            ]
        );
    }

    #[test]
    fn an_endless_loop_always_waits() {
        let busy = steps(&["sh", "-c", "while true; do echo x; done; echo never"]);
        let Some(Step::Loop(body)) = busy.first() else {
            panic!("{busy:?}");
        };
        assert!(matches!(body.last(), Some(Step::Sleep(_))));
        let calm = steps(&["sh", "-c", "while true; do date; sleep 1; done"]);
        let Some(Step::Loop(body)) = calm.first() else {
            panic!("{calm:?}");
        };
        assert_eq!(body.len(), 4);
    }

    proptest! {
        #[test]
        fn any_script_compiles(script in "\\PC{0,80}") {
            prop_assert!(steps(&["sh", "-c", &script]).len() <= MAX_STEPS);
        }

        #[test]
        fn any_mix_of_shell_words_compiles(
            words in proptest::collection::vec("while|true|do|done|;|&&|\\|\\||>|>&2|\\$|'|\"|sleep|\n|x", 0..40)
        ) {
            prop_assert!(steps(&["sh", "-c", &words.join(" ")]).len() <= MAX_STEPS);
        }
    }
}
