//! One event as one line.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::str::FromStr;
use std::time::Duration;

use serde_json::json;
use swarm_core::time::Wall;

use super::level::LogLevel;
use super::quote::{printable, quoted_if_needed, shortened};

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people: `INFO[0003] message   key=value`.
    Terminal {
        /// Whether level and keys are coloured.
        color: bool,
    },
    /// `time="…" level=info msg="…" key=value`.
    Logfmt,
    /// One JSON object a line.
    Json,
}

/// An event, ready to write.
#[derive(Clone, Debug)]
pub struct Record {
    /// How severe it is.
    pub level: LogLevel,
    /// Time since the process started.
    pub since_start: Duration,
    /// When it happened.
    pub wall: Wall,
    /// What happened.
    pub message: String,
    /// With what.
    pub fields: BTreeMap<&'static str, Value>,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text, possibly from outside.
    Text(String),
    /// A number.
    Signed(i64),
    /// A number.
    Unsigned(u64),
    /// Yes or no.
    Bool(bool),
}

/// Width the message is padded to before the fields.
const MESSAGE_WIDTH: usize = 44;

/// Names the formats use themselves: logrus puts `fields.` in front of a field that is called so.
const RESERVED: [&str; 3] = ["level", "msg", "time"];

impl Record {
    /// The line with its line break. No text in it can break the line or control a terminal.
    #[must_use]
    pub fn line(&self, format: Format) -> String {
        let mut line = match format {
            Format::Terminal { color } => self.terminal(color),
            Format::Logfmt => self.logfmt(),
            Format::Json => self.json(),
        };
        line.push('\n');
        line
    }

    fn terminal(&self, color: bool) -> String {
        let (on, off) = if color {
            (format!("\x1b[{}m", self.level.color()), "\x1b[0m")
        } else {
            (String::new(), "")
        };
        let level = self.level.short_name();
        let seconds = self.since_start.as_secs();
        let message = printable(&self.message);
        let mut line = format!("{on}{level}{off}[{seconds:04}] {message:<MESSAGE_WIDTH$}");
        for (key, value) in &self.fields {
            // Writing into a string cannot fail, here and below.
            let _ = write!(line, " {on}{key}{off}={}", printable(&value.to_string()));
        }
        line
    }

    fn logfmt(&self) -> String {
        let mut line = format!(
            "time=\"{}\" level={} msg={}",
            self.wall.rfc3339(),
            self.level,
            quoted_if_needed(&self.message)
        );
        for (key, value) in self.renamed_fields() {
            let _ = write!(line, " {key}={}", quoted_if_needed(&value.to_string()));
        }
        line
    }

    fn json(&self) -> String {
        let mut object = serde_json::Map::new();
        object.insert("time".to_owned(), self.wall.rfc3339_nanos().into());
        object.insert("level".to_owned(), self.level.name().into());
        object.insert("msg".to_owned(), shortened(&self.message).into());
        for (key, value) in self.renamed_fields() {
            object.insert(key, value.json());
        }
        escape_what_json_leaves(&serde_json::Value::Object(object).to_string())
    }

    fn renamed_fields(&self) -> BTreeMap<String, &Value> {
        self.fields
            .iter()
            .map(|(key, value)| {
                let key = if RESERVED.contains(key) {
                    format!("fields.{key}")
                } else {
                    (*key).to_owned()
                };
                (key, value)
            })
            .collect()
    }
}

impl Value {
    fn json(&self) -> serde_json::Value {
        match self {
            Self::Text(text) => json!(shortened(text)),
            Self::Signed(number) => json!(number),
            Self::Unsigned(number) => json!(number),
            Self::Bool(yes) => json!(yes),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Signed(number) => write!(f, "{number}"),
            Self::Unsigned(number) => write!(f, "{number}"),
            Self::Bool(yes) => write!(f, "{yes}"),
        }
    }
}

/// An unknown `--log-format`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown --log-format {0:?}: use auto, text, logfmt or json")]
pub struct FormatError(String);

impl Format {
    /// Reads `--log-format`: `auto` is text on a terminal and logfmt elsewhere.
    ///
    /// # Errors
    /// When the name is unknown.
    pub fn choose(name: &str, terminal: bool, color: bool) -> Result<Self, FormatError> {
        let text = Self::Terminal {
            color: terminal && color,
        };
        match name.to_ascii_lowercase().as_str() {
            "auto" if terminal => Ok(text),
            "auto" | "logfmt" => Ok(Self::Logfmt),
            "text" => Ok(text),
            "json" => Ok(Self::Json),
            _ => Err(FormatError(name.to_owned())),
        }
    }
}

impl FromStr for Format {
    type Err = FormatError;

    /// For output that is no terminal.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::choose(name, false, false)
    }
}

/// JSON text escapes C0 only: DEL, C1 and the marks that reorder text reach the terminal of whoever reads the log.
fn escape_what_json_leaves(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        let hidden = c == '\u{7f}' || (!c.is_ascii() && c.escape_debug().len() > 1);
        if !hidden {
            out.push(c);
            continue;
        }
        let mut units = [0; 2];
        for unit in c.encode_utf16(&mut units) {
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}
