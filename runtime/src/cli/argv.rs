//! Go's option syntax, rewritten to the one clap reads.
//!
//! Go takes long options with one dash or two, `--flag=false`, and any next argument as the value of an option, even
//! one that begins with a dash. After this every option with a value is one argument, `--name=value`.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

use super::env::go_bool;

/// Arguments as clap takes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Argv {
    /// The program's name and its arguments.
    pub(super) arguments: Vec<String>,
    switches: BTreeMap<String, bool>,
}

/// Why arguments do not fit a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// An unknown option.
    #[error("flag provided but not defined: -{flag}. See 'swarm{command} --help'.")]
    Undefined {
        /// The option without dashes.
        flag: String,
        /// The command with a space before it, or nothing.
        command: String,
    },
    /// An option that needs a value is last.
    #[error("flag needs an argument: -{0}")]
    NoValue(String),
    /// `--flag=value` for a flag that is on or off.
    #[error("invalid boolean value {value:?} for -{flag}")]
    Bool {
        /// The option without dashes.
        flag: String,
        /// The value.
        value: String,
    },
    /// One option under two names.
    #[error("Cannot use two forms of the same flag: {0} {1}")]
    TwoForms(String, String),
    /// An unknown command. Classic Swarm ended successfully (defect C4).
    #[error("unknown command {0:?}. See 'swarm --help'.")]
    UnknownCommand(String),
    /// Not UTF-8.
    #[error("the argument {0:?} is not valid UTF-8")]
    Encoding(OsString),
}

impl Argv {
    /// Whether a flag that is on or off was given.
    pub(super) fn mentions(&self, flag: &str) -> bool {
        self.switches.contains_key(flag)
    }

    /// Whether `--flag=false` was the last word about a flag.
    pub(super) fn turned_off(&self, flag: &str) -> bool {
        self.switches.get(flag) == Some(&false)
    }
}

/// Rewrites the arguments behind the program's name for `grammar`, which must be built.
pub(super) fn normalise(
    grammar: &Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Argv, UsageError> {
    let mut walk = Walk {
        root: grammar,
        command: None,
        spellings: BTreeMap::new(),
        arguments: Vec::new(),
        switches: BTreeMap::new(),
    };
    let mut rest = arguments
        .into_iter()
        .map(|argument| argument.into_string().map_err(UsageError::Encoding));
    walk.arguments.extend(rest.next().transpose()?);
    let mut operands = Vec::new();
    while let Some(argument) = rest.next().transpose()? {
        match argument.strip_prefix('-') {
            None => walk.word(argument)?,
            // A lone dash is a word in Go too.
            Some("") => walk.word(argument)?,
            Some("-") => {
                operands = rest.by_ref().collect::<Result<_, _>>()?;
            }
            Some(option) => {
                let option = option.strip_prefix('-').unwrap_or(option).to_owned();
                walk.option(&option, || rest.next().transpose())?;
            }
        }
    }
    for (flag, on) in &walk.switches {
        if *on {
            walk.arguments.push(format!("--{flag}"));
        }
    }
    if !operands.is_empty() {
        walk.arguments.push("--".to_owned());
        walk.arguments.append(&mut operands);
    }
    Ok(Argv {
        arguments: walk.arguments,
        switches: walk.switches,
    })
}

struct Walk<'a> {
    root: &'a Command,
    command: Option<&'a Command>,
    /// The name an option was first used under.
    spellings: BTreeMap<String, String>,
    arguments: Vec<String>,
    /// Flags that are on or off; the last word counts.
    switches: BTreeMap<String, bool>,
}

impl Walk<'_> {
    fn word(&mut self, word: String) -> Result<(), UsageError> {
        if self.command.is_none() {
            let Some(command) = self.root.find_subcommand(&word) else {
                return Err(UsageError::UnknownCommand(word));
            };
            self.command = Some(command);
        }
        self.arguments.push(word);
        Ok(())
    }

    fn option(
        &mut self,
        option: &str,
        next: impl FnOnce() -> Result<Option<String>, UsageError>,
    ) -> Result<(), UsageError> {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (option, None),
        };
        let command = self.command.unwrap_or(self.root);
        let Some((arg, long)) = command
            .get_arguments()
            .find(|arg| is_called(arg, name))
            .and_then(|arg| arg.get_long().map(|long| (arg, long.to_owned())))
        else {
            return Err(UsageError::Undefined {
                flag: name.to_owned(),
                command: self
                    .command
                    .map_or_else(String::new, |command| format!(" {}", command.get_name())),
            });
        };
        let takes_value = takes_value(arg);
        let first = self
            .spellings
            .entry(long.clone())
            .or_insert_with(|| name.to_owned());
        if first != name {
            return Err(UsageError::TwoForms(first.clone(), name.to_owned()));
        }
        if !takes_value {
            let on = match value {
                None => true,
                Some(value) => go_bool(&value).ok_or_else(|| UsageError::Bool {
                    flag: name.to_owned(),
                    value,
                })?,
            };
            self.switches.insert(long, on);
            return Ok(());
        }
        let value = match value {
            Some(value) => value,
            None => next()?.ok_or_else(|| UsageError::NoValue(name.to_owned()))?,
        };
        self.arguments.push(format!("--{long}={value}"));
        Ok(())
    }
}

fn is_called(arg: &Arg, name: &str) -> bool {
    let mut letters = name.chars();
    let short = match (letters.next(), letters.next()) {
        (Some(letter), None) => arg.get_short() == Some(letter),
        _ => false,
    };
    short
        || arg.get_long() == Some(name)
        || arg
            .get_all_aliases()
            .is_some_and(|aliases| aliases.contains(&name))
}

/// Whether an option has a value, or is on or off.
pub(super) fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}
