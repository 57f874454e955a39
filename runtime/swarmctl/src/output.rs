//! Where output goes: data to stdout in the format asked for, everything else to stderr.

use crate::cli::{ColorChoice, Format, Global};
use crate::failure::Failure;
use crate::table::{Table, printable};
use serde::Serialize;
use serde_json::json;
use std::io::{self, IsTerminal, Write};
use swarm_runtime::api::types::Unanswered;

/// The output of one command.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    pub(crate) format: Format,
    is_quiet: bool,
    verbosity: u8,
    is_stderr_colored: bool,
    /// What parts one showing from the one before it.
    frame: Frame,
}

/// How one output of several follows the last.
#[derive(Clone, Copy, Debug, Default)]
enum Frame {
    /// It is the only one.
    #[default]
    Single,
    /// It takes the place of the last, on a cleared screen.
    Screen,
    /// It comes below the last, after an empty line.
    Below,
}

impl Frame {
    fn lead(self) -> &'static str {
        match self {
            Self::Single => "",
            Self::Screen => "\u{1b}[H\u{1b}[2J",
            Self::Below => "\n",
        }
    }
}

impl Output {
    pub(crate) fn new(global: &Global) -> Self {
        Self {
            is_quiet: global.quiet,
            verbosity: global.verbose,
            is_stderr_colored: is_colored(global.color),
            ..Self::before_parsing(global.output)
        }
    }

    /// For what must be said before the command line was understood.
    pub(crate) fn before_parsing(format: Format) -> Self {
        Self {
            format,
            is_quiet: false,
            verbosity: 0,
            is_stderr_colored: is_colored(ColorChoice::Auto),
            frame: Frame::Single,
        }
    }

    /// For one showing of a series: on a terminal it takes the place of the last one.
    pub(crate) fn shown_again(self, is_first: bool) -> Self {
        let frame = match (self.is_json(), io::stdout().is_terminal(), is_first) {
            (true, _, _) | (false, false, true) => Frame::Single,
            (false, true, _) => Frame::Screen,
            (false, false, false) => Frame::Below,
        };
        Self { frame, ..self }
    }

    /// Whether the output is for programs.
    pub(crate) fn is_json(&self) -> bool {
        matches!(self.format, Format::Json | Format::Jsonl)
    }

    pub(crate) fn is_wide(&self) -> bool {
        self.format == Format::Wide
    }

    pub(crate) fn verbosity(&self) -> u8 {
        self.verbosity
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.is_quiet
    }

    /// One thing: as JSON, or as `text` says it to people.
    pub(crate) fn document<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> io::Result<()> {
        if self.is_json() {
            self.json(value)
        } else {
            write_stdout(&format!("{}{}", self.frame.lead(), text()))
        }
    }

    /// Many things: an array, a line each, or a table.
    pub(crate) fn list<T: Serialize>(
        &self,
        rows: &[T],
        table: impl FnOnce() -> Table,
    ) -> io::Result<()> {
        match self.format {
            Format::Json => self.json(&rows),
            Format::Jsonl => {
                let mut lines = Vec::new();
                for row in rows {
                    serde_json::to_writer(&mut lines, row)?;
                    lines.push(b'\n');
                }
                write_bytes(&lines)
            }
            Format::Table | Format::Wide | Format::Mermaid => {
                write_stdout(&format!("{}{}", self.frame.lead(), table().render()))
            }
        }
    }

    fn json<T: Serialize>(&self, value: &T) -> io::Result<()> {
        let mut text = if self.format == Format::Json && io::stdout().is_terminal() {
            serde_json::to_string_pretty(value)?
        } else {
            serde_json::to_string(value)?
        };
        text.push('\n');
        write_stdout(&text)
    }

    /// Says something that is not data, unless asked to be quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.is_quiet {
            say(&printable(text));
        }
    }

    /// Names those whose part is missing in what is shown.
    pub(crate) fn unanswered(&self, nodes: &[Unanswered]) {
        for silent in nodes {
            self.report(
                &json!({ "event": "unanswered", "node": silent.node, "why": silent.why }),
                || {
                    printable(&format!(
                        "node {} did not answer: {}",
                        silent.node, silent.why
                    ))
                },
            );
        }
    }

    /// Says something that is not data as one JSON object, or in words.
    pub(crate) fn report<T: Serialize>(&self, value: &T, words: impl FnOnce() -> String) {
        if self.is_quiet {
            return;
        }
        if self.is_json() {
            say(&serde_json::to_string(value).unwrap_or_else(|error| error.to_string()));
        } else {
            say(&words());
        }
    }

    /// Tells a failure: one JSON object, or the error and what to try.
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.is_json() {
            match serde_json::to_string(failure) {
                Ok(text) => say(&text),
                Err(error) => say(&error.to_string()),
            }
            return;
        }
        let (red, bold, plain) = if self.is_stderr_colored {
            ("\u{1b}[1;31m", "\u{1b}[1m", "\u{1b}[0m")
        } else {
            ("", "", "")
        };
        // An error may have lines of its own: several problems of one file.
        let error: Vec<String> = failure.error.lines().map(printable).collect();
        let error = error.join("\n");
        let next_step = printable(&failure.next_step);
        say(&format!(
            "{red}error:{plain} {error}\n{bold}try:{plain} {next_step}"
        ));
    }
}

fn is_colored(choice: ColorChoice) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            !is_refused && io::stderr().is_terminal()
        }
    }
}

/// Writes data. With [`write_bytes`] the only way to stdout, so that a reader that went away is noticed everywhere.
pub(crate) fn write_stdout(text: &str) -> io::Result<()> {
    write_bytes(text.as_bytes())
}

/// Writes data that need not be text.
pub(crate) fn write_bytes(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

/// Writes a line to stderr. There is nobody to tell when that fails.
fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
