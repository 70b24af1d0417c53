//! The command line: arguments and environment in, a typed command out, run to an exit code.
//!
//! The only place that reads the environment. What a command does is in [`crate::commands`].

mod args;
mod argv;
mod env;
mod help;
mod host;
mod settings;

pub use argv::UsageError;
#[cfg(feature = "dev")]
pub(crate) use env::END_WITH_STDIN;
pub use env::Env;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Arc, LazyLock};

use clap::{CommandFactory, FromArgMatches};
use swarm_core::config::{
    Certs, Client, ConfigError, Dev, EngineOrder, Join, List, Manage, RawManage, Warning,
};
use swarm_core::time::Wall;

use settings::Settings;

use crate::commands;
use crate::guard;
use crate::log::{Format, FormatError, LogClock, LogLevelError, LogOptions, fatal_line};
use crate::platform::{SharedPlatform, TokioPlatform};

/// `swarm version <this>`: the release and the commit it was built from, `HEAD` if that was not given at build time.
pub static VERSION: LazyLock<String> = LazyLock::new(|| {
    let commit = option_env!("SWARM_GIT_COMMIT").unwrap_or("HEAD");
    format!("{} ({commit})", env!("CARGO_PKG_VERSION"))
});

/// A command with its configuration, checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// `swarm manage`
    Manage(Box<Manage>),
    /// `swarm doctor`
    Doctor {
        /// The manager whose needs are looked at.
        manage: Box<Manage>,
        /// Whether to print JSON.
        json: bool,
    },
    /// `swarm join`
    Join(Join),
    /// `swarm list`
    List(List),
    /// `swarm status`
    Status(Client),
    /// `swarm step-down`
    StepDown(Client),
    /// `swarm engine`
    Engine(EngineOrder),
    /// `swarm certs`
    Certs(Certs),
    /// `swarm dev`
    Dev(Dev),
}

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Text to print, such as help.
    Print(String),
    /// A command to run.
    Run(Box<Invocation>),
}

/// A command and how it logs.
#[derive(Clone, Debug, PartialEq)]
pub struct Invocation {
    /// The command.
    pub command: Command,
    /// How to log.
    pub log: LogOptions,
}

/// Which outputs are terminals.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terminals {
    /// Standard output, where logs go.
    pub stdout: bool,
    /// Standard error, where the reason of a failure goes.
    pub stderr: bool,
}

/// Why a command line cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The arguments do not fit the command.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// The arguments do not fit the command, in clap's words.
    #[error("{0}")]
    Clap(String),
    /// `--log-level` is unknown.
    #[error(transparent)]
    LogLevel(#[from] LogLevelError),
    /// `--log-format` is unknown.
    #[error(transparent)]
    LogFormat(#[from] FormatError),
    /// A value does not pass the checks.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// `create` was given arguments.
    #[error("the `create` command takes no arguments. See 'swarm create --help'.")]
    CreateArguments,
    /// The token service is gone.
    #[error(
        "there is nothing to create: the hosted token service behind token:// was switched off in 2019. \
         Start the managers with consul://<ip>:<port>/<path>, file://<path> or a list of engines instead"
    )]
    Create,
}

/// Runs the command line to its end.
pub fn run(arguments: impl IntoIterator<Item = OsString>, env: &Env) -> ExitCode {
    let terminals = Terminals {
        stdout: std::io::stdout().is_terminal(),
        stderr: std::io::stderr().is_terminal(),
    };
    let fail = |wall, message: &str| {
        let format = match terminals.stderr {
            true => Format::Terminal { color: env.color },
            false => Format::Logfmt,
        };
        write_or_ignore(&mut std::io::stderr(), &fatal_line(format, wall, message));
        ExitCode::FAILURE
    };
    let platform: SharedPlatform = match TokioPlatform::new() {
        Ok(platform) => Arc::new(platform),
        Err(error) => return fail(Wall(0), &format!("no entropy from the system: {error}")),
    };
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments
        .get(1)
        .is_some_and(|command| command == guard::COMMAND)
    {
        return match run_guard(&platform) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(platform.wall(), &format!("guard: {error:#}")),
        };
    }
    match parse(arguments, env, terminals) {
        Ok(Request::Print(text)) => {
            write_or_ignore(&mut std::io::stdout(), &text);
            ExitCode::SUCCESS
        }
        Ok(Request::Run(invocation)) => match execute(&platform, env, *invocation) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => fail(platform.wall(), &format!("{error:#}")),
        },
        Err(error) => fail(platform.wall(), &error.to_string()),
    }
}

/// Understands a command line; the first argument is the program's name.
///
/// # Errors
/// When it cannot be followed; nothing has been done then.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    env: &Env,
    terminals: Terminals,
) -> Result<Request, CliError> {
    let mut grammar = args::Cli::command();
    grammar.build();
    let argv = argv::normalise(&grammar, arguments)?;
    let matches = match grammar.clone().try_get_matches_from(&argv.arguments) {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => return Ok(Request::Print(error.to_string())),
        Err(error) => return Err(CliError::Clap(first_line(&error.to_string()))),
    };
    let cli = args::Cli::from_arg_matches(&matches)
        .map_err(|error| CliError::Clap(first_line(&error.to_string())))?;
    if cli.global.version {
        return Ok(Request::Print(format!("swarm version {}\n", *VERSION)));
    }
    let debug = cli.global.debug || (env.debug && !argv.turned_off("debug"));
    let log = LogOptions {
        level: cli.global.level(debug)?,
        format: Format::choose(&cli.global.log_format, terminals.stdout, env.color)?,
    };
    let command = match cli.command {
        None => return Ok(Request::Print(grammar.render_help().to_string())),
        Some(args::Command::Help(help)) => return help.render(&mut grammar),
        Some(args::Command::Create(create)) if create.arguments.is_empty() => {
            return Err(CliError::Create);
        }
        Some(args::Command::Create(_)) => return Err(CliError::CreateArguments),
        Some(args::Command::Doctor(doctor)) => Command::Doctor {
            manage: Box::new(Manage::try_from(doctor.manage.raw(env))?),
            json: doctor.json,
        },
        Some(args::Command::Manage(manage)) => {
            let print_config = manage.print_config;
            let raw = RawManage {
                debug,
                experimental: cli.global.experimental,
                ..manage.options.raw(env)
            };
            let manage = Manage::try_from(raw)?;
            if print_config && let Some((name, matches)) = matches.subcommand() {
                let settings = Settings {
                    grammar: grammar.find_subcommand(name).unwrap_or(&grammar),
                    matches,
                    argv: &argv,
                    env,
                    manage: &manage,
                    log,
                };
                return Ok(Request::Print(settings.render()));
            }
            Command::Manage(Box::new(manage))
        }
        Some(args::Command::Join(join)) => Command::Join(Join::try_from(join.raw(env))?),
        Some(args::Command::List(list)) => Command::List(List::try_from(list.raw(env))?),
        Some(args::Command::Status(client)) => Command::Status(Client::try_from(client.raw(env))?),
        Some(args::Command::StepDown(client)) => {
            Command::StepDown(Client::try_from(client.raw(env))?)
        }
        Some(args::Command::Engine(engine)) => {
            Command::Engine(EngineOrder::try_from(engine.raw(env))?)
        }
        Some(args::Command::Certs(certs)) => Command::Certs(Certs::try_from(certs.raw())?),
        Some(args::Command::Dev(dev)) => Command::Dev(Dev::try_from(dev.raw())?),
    };
    Ok(Request::Run(Box::new(Invocation { command, log })))
}

fn execute(platform: &SharedPlatform, env: &Env, invocation: Invocation) -> anyhow::Result<()> {
    let logs = match &invocation.command {
        Command::Manage(_) | Command::Join(_) | Command::Dev(_) => true,
        // What these print is for scripts.
        Command::Doctor { .. }
        | Command::List(_)
        | Command::Status(_)
        | Command::StepDown(_)
        | Command::Engine(_)
        | Command::Certs(_) => false,
    };
    if logs {
        crate::log::init(invocation.log, LogClock::of(platform))?;
        host::raise_file_limit();
        host::leave_no_core_file();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(dispatch(platform.clone(), env, invocation))
}

/// One thread: the smaller the guard, the sooner it acts.
fn run_guard(platform: &SharedPlatform) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(guard::run(platform.clone()))
}

async fn dispatch(
    platform: SharedPlatform,
    env: &Env,
    invocation: Invocation,
) -> anyhow::Result<()> {
    match invocation.command {
        Command::Manage(config) => {
            warn(&config.warnings);
            let host = host::host_info(env, &config);
            let manager = commands::manage(platform, *config, host);
            match env.end_with_stdin {
                true => commands::until_stdin_ends(manager).await,
                false => manager.await,
            }
        }
        Command::Doctor { manage, json } => {
            commands::doctor(platform, *manage, json, host::open_files_allowed()).await
        }
        Command::Join(config) => {
            warn(&config.warnings);
            commands::join(platform, config).await
        }
        Command::List(config) => commands::list(platform, config).await,
        Command::Status(config) => commands::status(platform, config).await,
        Command::StepDown(config) => commands::step_down(platform, config).await,
        Command::Engine(order) => commands::engine(platform, order).await,
        Command::Certs(config) => commands::certs(platform, config).await,
        Command::Dev(config) => commands::dev(platform, config).await,
    }
}

fn warn(warnings: &[Warning]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

/// clap's errors go on with usage and tips; its first line says what is wrong.
fn first_line(error: &str) -> String {
    let line = error.lines().next().unwrap_or(error);
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

/// A reader that left early is no failure.
pub(crate) fn write_or_ignore(out: &mut dyn Write, text: &str) {
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests;
