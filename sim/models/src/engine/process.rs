//! A running command: its steps, its input and its terminal.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use swarm_core::time::{Mono, Wall};

use super::console::{Chunk, Inner, Stream};
use super::files::Files;
use super::program::{Step, Surroundings, compile, script_steps};

/// Input that may wait until the process reads it.
const INPUT_BYTES: usize = 64 * 1024;

const PROMPT: &str = "/ # ";

/// A running command.
#[derive(Debug)]
pub(super) struct Process {
    steps: VecDeque<Step>,
    /// Result of the last command.
    last: i64,
    /// When the current step goes on.
    due: Option<Mono>,
    terminal: bool,
    ignores_term: bool,
    prompted: bool,
    input: BytesMut,
    input_open: bool,
    /// The line being typed at the terminal.
    line: Vec<u8>,
    around: Surroundings,
}

/// What a process can use while it runs.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) now: Mono,
    pub(super) wall: Wall,
    pub(super) files: Option<&'a Files>,
    pub(super) console: &'a mut Inner,
}

impl Process {
    /// Prepares `command`; the first [`Process::run`] starts it.
    pub(super) fn new(
        command: &[String],
        around: Surroundings,
        terminal: bool,
        input_open: bool,
    ) -> Self {
        Self {
            steps: compile(command, &around),
            last: 0,
            due: None,
            terminal,
            ignores_term: false,
            prompted: false,
            input: BytesMut::new(),
            input_open,
            line: Vec::new(),
            around,
        }
    }

    /// When to call [`Process::run`] next.
    pub(super) fn due(&self) -> Option<Mono> {
        self.due
    }

    /// Shifts the clock after a pause.
    pub(super) fn delay(&mut self, by: Duration) {
        self.due = self.due.map(|due| due + by);
    }

    /// Whether SIGTERM does nothing.
    pub(super) fn ignores_term(&self) -> bool {
        self.ignores_term
    }

    /// Whether more input may be given.
    pub(super) fn has_room(&self) -> bool {
        self.input.len() < INPUT_BYTES
    }

    /// Gives input; `true` if it held an interrupt (Ctrl-C) that ends the process.
    pub(super) fn feed(&mut self, data: &[u8], world: &mut World<'_>) -> bool {
        if !self.input_open {
            return false;
        }
        if !self.terminal {
            self.input.extend_from_slice(data);
            return false;
        }
        data.iter().any(|byte| self.key(*byte, world))
    }

    /// Ends the input.
    pub(super) fn close_input(&mut self) {
        self.input_open = false;
    }

    /// One byte typed at the terminal.
    fn key(&mut self, byte: u8, world: &mut World<'_>) -> bool {
        match byte {
            0x03 => {
                self.write(world, Stream::Stdout, Bytes::from_static(b"^C\n"));
                self.line.clear();
                self.prompted = false;
                return !matches!(self.steps.front(), Some(Step::Shell));
            }
            0x04 if self.line.is_empty() => self.input_open = false,
            0x04 => {}
            b'\r' | b'\n' => {
                self.write(world, Stream::Stdout, Bytes::from_static(b"\n"));
                self.line.push(b'\n');
                self.input.extend_from_slice(&self.line);
                self.line.clear();
            }
            0x7f | 0x08 => {
                if self.line.pop().is_some() {
                    self.write(world, Stream::Stdout, Bytes::from_static(b"\x08 \x08"));
                }
            }
            byte => {
                if self.line.len() < INPUT_BYTES {
                    self.line.push(byte);
                }
                self.write(world, Stream::Stdout, Bytes::copy_from_slice(&[byte]));
            }
        }
        false
    }

    /// Runs until it has to wait; the exit code if it ended.
    pub(super) fn run(&mut self, world: &mut World<'_>) -> Option<i64> {
        loop {
            let Some(step) = self.steps.pop_front() else {
                return Some(self.last);
            };
            match step {
                Step::Exit(code) => return Some(code.unwrap_or(self.last)),
                Step::Forever => {
                    self.steps.push_front(Step::Forever);
                    return None;
                }
                Step::Sleep(time) => {
                    if !self.slept(time, world.now) {
                        self.steps.push_front(Step::Sleep(time));
                        return None;
                    }
                }
                Step::Chatter { left, every, line } => {
                    if let Some(next) = self.chatter(left, every, line, world) {
                        self.steps.push_front(next);
                        return None;
                    }
                }
                Step::Cat => {
                    let data = self.input.split().freeze();
                    self.write(world, Stream::Stdout, data);
                    if self.input_open {
                        self.steps.push_front(Step::Cat);
                        return None;
                    }
                }
                Step::Shell => {
                    if !self.read_command(world) {
                        return None;
                    }
                }
                step @ (Step::Write(..)
                | Step::File(_)
                | Step::Date
                | Step::IgnoreTerm
                | Step::Result(_)
                | Step::SkipUnless(..)
                | Step::Loop(_)) => self.at_once(step, world),
            }
        }
    }

    /// Steps that never wait.
    fn at_once(&mut self, step: Step, world: &mut World<'_>) {
        match step {
            Step::Write(stream, data) => self.write(world, stream, data),
            Step::File(path) => match world.files.and_then(|files| files.content(&path)) {
                Some(data) => {
                    self.last = 0;
                    self.write(world, Stream::Stdout, data);
                }
                None => {
                    self.last = 1;
                    let text = format!("cat: can't open '{path}': No such file or directory\n");
                    self.write(world, Stream::Stderr, text.into());
                }
            },
            Step::Date => {
                let text = format!("{}\n", world.wall.http_date());
                self.write(world, Stream::Stdout, text.into());
            }
            Step::IgnoreTerm => self.ignores_term = true,
            Step::Result(code) => self.last = code,
            Step::SkipUnless(success, steps) => {
                if (self.last == 0) != success {
                    self.steps.drain(..steps.min(self.steps.len()));
                }
            }
            Step::Loop(body) => {
                self.steps.push_front(Step::Loop(body.clone()));
                for step in body.iter().rev() {
                    self.steps.push_front(step.clone());
                }
            }
            Step::Sleep(_)
            | Step::Forever
            | Step::Cat
            | Step::Chatter { .. }
            | Step::Shell
            | Step::Exit(_) => {}
        }
    }

    fn slept(&mut self, time: Duration, now: Mono) -> bool {
        let due = *self.due.get_or_insert(now + time);
        let over = due <= now;
        if over {
            self.due = None;
        }
        over
    }

    /// Writes the next line if it is time; what remains to be done.
    fn chatter(
        &mut self,
        left: Option<u64>,
        every: Duration,
        line: u64,
        world: &mut World<'_>,
    ) -> Option<Step> {
        let due = *self.due.get_or_insert(world.now);
        if due > world.now {
            return Some(Step::Chatter { left, every, line });
        }
        let line = line + 1;
        self.write(world, Stream::Stdout, format!("line {line}\n").into());
        let left = left.map(|left| left.saturating_sub(1));
        if left == Some(0) {
            self.due = None;
            return None;
        }
        // Lines that were missed are not made up for: a host that slept for hours would flood its readers.
        self.due = Some((due + every).max(world.now + Duration::from_nanos(1)));
        Some(Step::Chatter { left, every, line })
    }

    /// Takes the next line of input as commands; `false` if there is none yet.
    fn read_command(&mut self, world: &mut World<'_>) -> bool {
        if let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
            let line = self.input.split_to(end + 1);
            let script = String::from_utf8_lossy(&line);
            let mut steps = script_steps(script.trim_end(), &self.around);
            for step in &mut steps {
                // At a prompt an unknown command is a typing error, not a server.
                if *step == Step::Forever {
                    let text = format!("sh: {}: not found\n", script.trim_end());
                    *step = Step::Write(Stream::Stderr, text.into());
                }
            }
            self.prompted = false;
            self.steps.push_front(Step::Shell);
            for step in steps.into_iter().rev() {
                self.steps.push_front(step);
            }
            return true;
        }
        if !self.input_open {
            return true;
        }
        if self.terminal && !self.prompted {
            self.prompted = true;
            self.write(world, Stream::Stdout, Bytes::from_static(PROMPT.as_bytes()));
        }
        self.steps.push_front(Step::Shell);
        false
    }

    fn write(&self, world: &mut World<'_>, stream: Stream, data: Bytes) {
        if data.is_empty() {
            return;
        }
        let (stream, data) = if self.terminal {
            (Stream::Stdout, carriage_returns(data))
        } else {
            (stream, data)
        };
        world.console.push(Chunk {
            at: world.wall,
            stream,
            data,
        });
    }
}

/// What a terminal makes of new lines.
fn carriage_returns(data: Bytes) -> Bytes {
    if !data.contains(&b'\n') {
        return data;
    }
    let mut text = Vec::with_capacity(data.len() + 8);
    for byte in data {
        if byte == b'\n' {
            text.push(b'\r');
        }
        text.push(byte);
    }
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::console::Console;

    struct Fixture {
        console: Console,
        process: Process,
        now: Mono,
    }

    impl Fixture {
        fn new(command: &[&str], terminal: bool, input: bool) -> Self {
            let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
            Self {
                console: Console::default(),
                process: Process::new(&command, Surroundings::default(), terminal, input),
                now: Mono::ZERO,
            }
        }

        fn with<R>(&mut self, act: impl FnOnce(&mut Process, &mut World<'_>) -> R) -> R {
            let mut world = World {
                now: self.now,
                wall: Wall(self.now.0),
                files: None,
                console: &mut self.console.lock(),
            };
            act(&mut self.process, &mut world)
        }

        fn run(&mut self) -> Option<i64> {
            self.with(Process::run)
        }

        fn feed(&mut self, text: &str) -> bool {
            self.with(|process, world| process.feed(text.as_bytes(), world))
        }

        fn output(&self) -> String {
            let console = self.console.lock();
            let data: Vec<u8> = console.chunks().flat_map(|c| c.data.to_vec()).collect();
            String::from_utf8(data).unwrap()
        }
    }

    #[test]
    fn a_script_runs_step_by_step() {
        let mut fixture = Fixture::new(
            &["sh", "-c", "echo a; sleep 2; echo b; exit 4"],
            false,
            false,
        );
        assert_eq!(fixture.run(), None);
        assert_eq!(fixture.process.due(), Some(Mono(2_000_000_000)));
        fixture.now = Mono(1_999_999_999);
        assert_eq!(fixture.run(), None);
        fixture.now = Mono(2_000_000_000);
        assert_eq!(fixture.run(), Some(4));
        assert_eq!(fixture.output(), "a\nb\n");
    }

    #[test]
    fn cat_copies_until_the_input_ends() {
        let mut fixture = Fixture::new(&["cat"], false, true);
        assert_eq!(fixture.run(), None);
        fixture.feed("hello");
        assert_eq!(fixture.run(), None);
        fixture.process.close_input();
        assert_eq!(fixture.run(), Some(0));
        assert_eq!(fixture.output(), "hello");
    }

    #[test]
    fn chatter_keeps_its_pace() {
        let mut fixture = Fixture::new(&["chatter", "2", "100"], false, false);
        assert_eq!(fixture.run(), None);
        assert_eq!(fixture.process.due(), Some(Mono(100_000_000)));
        fixture.now = Mono(100_000_000);
        assert_eq!(fixture.run(), Some(0));
        assert_eq!(fixture.output(), "line 1\nline 2\n");
    }

    #[test]
    fn a_shell_at_a_terminal_echoes_prompts_and_ends_on_exit() {
        let mut fixture = Fixture::new(&["sh"], true, true);
        assert_eq!(fixture.run(), None);
        assert!(!fixture.feed("echo hi\r"));
        assert_eq!(fixture.run(), None);
        fixture.feed("exit 5\r");
        assert_eq!(fixture.run(), Some(5));
        assert_eq!(fixture.output(), "/ # echo hi\r\nhi\r\n/ # exit 5\r\n");
    }

    #[test]
    fn an_interrupt_ends_a_command_but_not_a_shell() {
        assert!(Fixture::new(&["top"], true, true).feed("\u{3}"));
        let mut shell = Fixture::new(&["sh"], true, true);
        assert_eq!(shell.run(), None);
        assert!(!shell.feed("\u{3}"));
    }

    #[test]
    fn conditions_follow_the_last_result() {
        let mut fixture = Fixture::new(&["sh", "-c", "false && echo no || echo yes"], false, false);
        assert_eq!(fixture.run(), Some(0));
        assert_eq!(fixture.output(), "yes\n");
    }
}
