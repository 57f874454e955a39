//! Four layers folded into one, with the origin of every value.

use super::check::{self, LogFormat, SettingError};
use super::{API_DEFAULT, LISTEN_DEFAULT, LOG_DEFAULT, SHUTDOWN_DEADLINE_DEFAULT};
use crate::duration::{parse_duration, show_duration};
use crate::manifest::{Manifest, NodeSettings, Stated};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use swarm_cluster::placement::Labels;
use swarm_protocols::Name;

/// What was given on the command line, unchecked.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--name`
    pub name: Option<String>,
    /// `--label`, several joined with commas
    pub labels: Option<String>,
    /// `--agents-max`
    pub agents_max: Option<String>,
    /// `--data`
    pub data: Option<String>,
    /// `--listen`
    pub listen: Option<String>,
    /// `--advertise`
    pub advertise: Option<String>,
    /// `--api`
    pub api: Option<String>,
    /// `--log`
    pub log: Option<String>,
    /// `--log-format`
    pub log_format: Option<String>,
    /// `--shutdown-deadline`
    pub shutdown_deadline: Option<String>,
    /// `--exit-on-tree-failure`
    pub exit_on_tree_failure: bool,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "source", rename_all = "lowercase")]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The manifest's `[node]`.
    File {
        /// The manifest; none for a text that came from elsewhere.
        file: Option<PathBuf>,
        /// The line in it.
        line: usize,
    },
    /// A variable of the environment.
    Environment {
        /// Its name.
        variable: &'static str,
    },
    /// The command line.
    Flag {
        /// The flag, with its dashes.
        flag: &'static str,
    },
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value in force.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

/// All settings of a node, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The node's name.
    pub name: Setting<Name>,
    /// What the node is labelled with.
    pub labels: Setting<Labels>,
    /// How many agents it has at most; none: any number.
    pub agents_max: Setting<Option<u32>>,
    /// The data folder.
    pub data: Setting<PathBuf>,
    /// Where other nodes reach this one, over TCP and UDP. Where it is the default and taken, a free port is.
    pub listen: Setting<SocketAddr>,
    /// What other nodes will be told to connect to; none: the address that is listened on.
    pub advertise: Setting<Option<String>>,
    /// Where the API answers; port 0 lets the system choose.
    pub api: Setting<SocketAddr>,
    /// What is logged, as a filter.
    pub log: Setting<String>,
    /// How it is written.
    pub log_format: Setting<LogFormat>,
    /// How long an ordered stop may take before what is left is killed.
    pub shutdown_deadline: Setting<Duration>,
    /// Whether the process ends with 1 when the tree fails.
    pub exit_on_tree_failure: Setting<bool>,
}

/// A setting whose text is no value. Nothing was started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} ({origin}): {cause}")]
pub struct SettingRejected {
    /// Which one.
    pub setting: &'static str,
    /// Where the text came from.
    pub origin: Origin,
    /// What is wrong with it.
    #[source]
    pub cause: SettingError,
}

/// One line of `config show`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// The setting's name, as in the manifest.
    pub name: &'static str,
    /// The value in force.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
    /// What it is for.
    pub about: &'static str,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File {
                file: Some(file),
                line,
            } => write!(f, "file {}:{line}", file.display()),
            Self::File { file: None, line } => write!(f, "manifest, line {line}"),
            Self::Environment { variable } => write!(f, "environment {variable}"),
            Self::Flag { flag } => write!(f, "flag {flag}"),
        }
    }
}

/// The layers above the file, for one setting.
struct Layers<'l> {
    setting: &'static str,
    flag: (&'static str, Option<&'l str>),
    variables: &'static [&'static str],
}

impl Settings {
    /// Folds the layers; `environment` looks up a variable. An empty variable counts as absent.
    ///
    /// # Errors
    /// [`SettingRejected`] for the first text that is no value. The file's values were checked when it was read.
    pub fn resolve(
        flags: &Flags,
        environment: &dyn Fn(&str) -> Option<String>,
        manifest: Option<&Manifest>,
    ) -> Result<Self, SettingRejected> {
        let none = NodeSettings::default();
        let node = manifest.map_or(&none, |manifest| &manifest.node);
        let fold = Fold {
            environment,
            file: manifest.and_then(|manifest| manifest.file.as_deref()),
        };
        let name = fold.pick(
            Layers {
                setting: "name",
                flag: ("--name", flags.name.as_deref()),
                variables: &["SWARM_NAME"],
            },
            check_name,
            node.name.as_ref(),
            || default_name(environment),
        )?;
        let data = fold.pick(
            Layers {
                setting: "data",
                flag: ("--data", flags.data.as_deref()),
                variables: &["SWARM_DATA"],
            },
            check::check_data,
            node.data.as_ref(),
            || default_data(environment, &name.value).display().to_string(),
        )?;
        let data = Setting {
            value: data_folder(&data),
            origin: data.origin,
        };
        let advertise = fold.pick(
            Layers {
                setting: "advertise",
                flag: ("--advertise", flags.advertise.as_deref()),
                variables: &["SWARM_ADVERTISE"],
            },
            |text| check::check_advertise(text).map(Some),
            node.advertise
                .as_ref()
                .map(|stated| Stated {
                    value: Some(stated.value.clone()),
                    line: stated.line,
                })
                .as_ref(),
            || None,
        )?;
        Ok(Self {
            listen: fold.pick(
                Layers {
                    setting: "listen",
                    flag: ("--listen", flags.listen.as_deref()),
                    variables: &["SWARM_LISTEN"],
                },
                check::check_listen,
                node.listen.as_ref(),
                || LISTEN_DEFAULT.parse().expect("the default is an address"),
            )?,
            agents_max: fold.pick(
                Layers {
                    setting: "agents_max",
                    flag: ("--agents-max", flags.agents_max.as_deref()),
                    variables: &["SWARM_AGENTS_MAX"],
                },
                |text| check::check_agents_max(text).map(Some),
                node.agents_max
                    .as_ref()
                    .map(|stated| Stated {
                        value: Some(stated.value),
                        line: stated.line,
                    })
                    .as_ref(),
                || None,
            )?,
            labels: fold.pick(
                Layers {
                    setting: "labels",
                    flag: ("--label", flags.labels.as_deref()),
                    variables: &["SWARM_LABELS"],
                },
                check::check_labels,
                node.labels.as_ref(),
                Labels::default,
            )?,
            api: fold.pick(
                Layers {
                    setting: "api",
                    flag: ("--api", flags.api.as_deref()),
                    variables: &["SWARM_API"],
                },
                check::check_api,
                node.api.as_ref(),
                || API_DEFAULT.parse().expect("the default is an address"),
            )?,
            log: fold.pick(
                Layers {
                    setting: "log",
                    flag: ("--log", flags.log.as_deref()),
                    variables: &["SWARM_LOG", "RUST_LOG"],
                },
                check::check_log,
                node.log.as_ref(),
                || LOG_DEFAULT.to_owned(),
            )?,
            log_format: fold.pick(
                Layers {
                    setting: "log_format",
                    flag: ("--log-format", flags.log_format.as_deref()),
                    variables: &["SWARM_LOG_FORMAT"],
                },
                check::check_log_format,
                node.log_format.as_ref(),
                LogFormat::default,
            )?,
            shutdown_deadline: fold.pick(
                Layers {
                    setting: "shutdown_deadline",
                    flag: ("--shutdown-deadline", flags.shutdown_deadline.as_deref()),
                    variables: &["SWARM_SHUTDOWN_DEADLINE"],
                },
                check_deadline,
                node.shutdown_deadline.as_ref(),
                || SHUTDOWN_DEADLINE_DEFAULT,
            )?,
            exit_on_tree_failure: fold.pick(
                Layers {
                    setting: "exit_on_tree_failure",
                    flag: (
                        "--exit-on-tree-failure",
                        flags.exit_on_tree_failure.then_some("true"),
                    ),
                    variables: &["SWARM_EXIT_ON_TREE_FAILURE"],
                },
                check_flag,
                node.exit_on_tree_failure.as_ref(),
                || false,
            )?,
            name,
            data,
            advertise,
        })
    }

    /// All settings in the order in which they are documented.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        fn entry<T>(
            name: &'static str,
            setting: &Setting<T>,
            value: Value,
            about: &'static str,
        ) -> Entry {
            Entry {
                name,
                value,
                origin: setting.origin.clone(),
                about,
            }
        }
        vec![
            entry(
                "name",
                &self.name,
                json!(self.name.value),
                "the node's name",
            ),
            entry(
                "data",
                &self.data,
                json!(self.data.value.display().to_string()),
                "the data folder",
            ),
            entry(
                "agents_max",
                &self.agents_max,
                json!(self.agents_max.value),
                "how many agents the node has at most",
            ),
            entry(
                "labels",
                &self.labels,
                json!(self.labels.value.to_string()),
                "what the node is labelled with, for placement",
            ),
            entry(
                "listen",
                &self.listen,
                json!(self.listen.value),
                "where other nodes reach this one",
            ),
            entry(
                "advertise",
                &self.advertise,
                json!(self.advertise.value),
                "what other nodes are told to connect to",
            ),
            entry(
                "api",
                &self.api,
                json!(self.api.value),
                "where the API answers",
            ),
            entry("log", &self.log, json!(self.log.value), "what is logged"),
            entry(
                "log_format",
                &self.log_format,
                json!(self.log_format.value),
                "how it is written",
            ),
            entry(
                "shutdown_deadline",
                &self.shutdown_deadline,
                json!(show_duration(self.shutdown_deadline.value)),
                "how long an ordered stop may take",
            ),
            entry(
                "exit_on_tree_failure",
                &self.exit_on_tree_failure,
                json!(self.exit_on_tree_failure.value),
                "whether the process ends with 1 when the tree fails",
            ),
        ]
    }
}

struct Fold<'f> {
    environment: &'f dyn Fn(&str) -> Option<String>,
    file: Option<&'f Path>,
}

impl Fold<'_> {
    fn pick<T: Clone>(
        &self,
        layers: Layers<'_>,
        check: impl Fn(&str) -> Result<T, SettingError>,
        stated: Option<&Stated<T>>,
        default: impl FnOnce() -> T,
    ) -> Result<Setting<T>, SettingRejected> {
        let checked = |text: &str, origin: Origin| match check(text) {
            Ok(value) => Ok(Setting { value, origin }),
            Err(cause) => Err(SettingRejected {
                setting: layers.setting,
                origin,
                cause,
            }),
        };
        if let (flag, Some(text)) = layers.flag {
            return checked(text, Origin::Flag { flag });
        }
        for variable in layers.variables {
            if let Some(text) = (self.environment)(variable).filter(|text| !text.is_empty()) {
                return checked(&text, Origin::Environment { variable });
            }
        }
        Ok(match stated {
            Some(stated) => Setting {
                value: stated.value.clone(),
                origin: Origin::File {
                    file: self.file.map(Path::to_owned),
                    line: stated.line,
                },
            },
            None => Setting {
                value: default(),
                origin: Origin::Default,
            },
        })
    }
}

/// A relative folder in a file is relative to the file; anywhere else to the working directory.
fn data_folder(setting: &Setting<String>) -> PathBuf {
    match &setting.origin {
        Origin::File {
            file: Some(file), ..
        } => match file.parent() {
            Some(parent) => parent.join(&setting.value),
            None => PathBuf::from(&setting.value),
        },
        _ => PathBuf::from(&setting.value),
    }
}

fn check_name(text: &str) -> Result<Name, SettingError> {
    Name::new(text).map_err(|error| SettingError {
        message: error.to_string(),
        suggestion: Some("\"n1\"".to_owned()),
    })
}

fn check_deadline(text: &str) -> Result<Duration, SettingError> {
    match parse_duration(text) {
        Ok(duration) if duration.is_zero() => {
            Err(SettingError::new("must be longer than zero", "\"25s\""))
        }
        Ok(duration) => Ok(duration),
        Err(error) => Err(SettingError {
            suggestion: error.suggestion(),
            message: error.to_string(),
        }),
    }
}

fn check_flag(text: &str) -> Result<bool, SettingError> {
    match text {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(SettingError::new(
            format!("{text:?} is neither true nor false"),
            "\"true\"",
        )),
    }
}

/// The machine's name as far as it makes a name here.
fn default_name(environment: &dyn Fn(&str) -> Option<String>) -> Name {
    let host = environment("HOSTNAME")
        .or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok())
        .unwrap_or_default();
    let host: String = host
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| matches!(c, 'a'..='z' | '0'..='9' | '.' | '_' | '-'))
        .take(64)
        .collect();
    Name::new(&host).unwrap_or_else(|_| Name::new("node").expect("a name"))
}

/// The user's data folder: `$XDG_DATA_HOME/swarm/NAME`, else `~/.local/share/swarm/NAME`.
fn default_data(environment: &dyn Fn(&str) -> Option<String>, name: &Name) -> PathBuf {
    let base = match environment("XDG_DATA_HOME").filter(|folder| folder.starts_with('/')) {
        Some(folder) => PathBuf::from(folder),
        None => match environment("HOME").filter(|folder| !folder.is_empty()) {
            Some(home) if cfg!(target_os = "macos") => {
                Path::new(&home).join("Library/Application Support")
            }
            Some(home) => Path::new(&home).join(".local/share"),
            None => PathBuf::from(".swarm-data"),
        },
    };
    base.join("swarm").join(name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(
        pairs: &'static [(&'static str, &'static str)],
    ) -> impl Fn(&str) -> Option<String> {
        move |key| {
            pairs
                .iter()
                .find(|(name, _)| *name == key)
                .map(|(_, value)| (*value).to_owned())
        }
    }

    fn manifest(text: &str) -> Manifest {
        struct Nothing;
        impl crate::manifest::BehaviourCatalogue for Nothing {
            fn names(&self) -> Vec<&str> {
                Vec::new()
            }
            fn check(&self, _: &str, _: &Value) -> Result<(), crate::manifest::ConfigFault> {
                Ok(())
            }
        }
        let mut manifest = Manifest::parse(text, &Nothing).expect("valid");
        manifest.file = Some(PathBuf::from("/etc/swarm/swarm.toml"));
        manifest
    }

    #[test]
    fn flag_beats_environment_beats_file_beats_default() {
        let manifest = manifest("[node]\nname = \"file\"\napi = \"127.0.0.1:1\"\nlog = \"warn\"\n");
        let flags = Flags {
            name: Some("flag".into()),
            ..Flags::default()
        };
        let environment = environment(&[
            ("SWARM_NAME", "env"),
            ("SWARM_API", "127.0.0.1:2"),
            ("HOME", "/h"),
        ]);
        let settings = Settings::resolve(&flags, &environment, Some(&manifest)).expect("resolves");
        assert_eq!(settings.name.value.as_str(), "flag");
        assert_eq!(settings.name.origin.to_string(), "flag --name");
        assert_eq!(settings.api.value.port(), 2);
        assert_eq!(settings.api.origin.to_string(), "environment SWARM_API");
        assert_eq!(settings.log.value, "warn");
        assert_eq!(
            settings.log.origin.to_string(),
            "file /etc/swarm/swarm.toml:4"
        );
        assert_eq!(settings.listen.origin, Origin::Default);
        assert_eq!(settings.listen.value.to_string(), LISTEN_DEFAULT);
    }

    #[test]
    fn the_data_folder_is_the_users_unless_told_otherwise() {
        let settings = Settings::resolve(
            &Flags::default(),
            &environment(&[("HOME", "/h"), ("SWARM_NAME", "n1")]),
            None,
        );
        let folder = settings.expect("resolves").data.value;
        assert!(
            folder.starts_with("/h") && folder.ends_with("swarm/n1"),
            "{}",
            folder.display()
        );
        let settings = Settings::resolve(
            &Flags::default(),
            &environment(&[
                ("HOME", "/h"),
                ("XDG_DATA_HOME", "/x"),
                ("SWARM_NAME", "n1"),
            ]),
            None,
        );
        assert_eq!(
            settings.expect("resolves").data.value,
            PathBuf::from("/x/swarm/n1")
        );
    }

    #[test]
    fn a_relative_data_folder_in_a_file_is_relative_to_the_file() {
        let manifest = manifest("[node]\ndata = \"d\"\n");
        let settings = Settings::resolve(&Flags::default(), &environment(&[]), Some(&manifest))
            .expect("resolves");
        assert_eq!(settings.data.value, PathBuf::from("/etc/swarm/d"));
    }

    #[test]
    fn a_bad_value_is_refused_with_its_origin() {
        let error = Settings::resolve(
            &Flags::default(),
            &environment(&[("SWARM_API", "nonsense")]),
            None,
        )
        .expect_err("no address");
        assert_eq!(
            error.to_string(),
            "api (environment SWARM_API): \"nonsense\" is no ADDRESS:PORT"
        );
    }
}
