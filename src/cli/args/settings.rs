//! Every setting as a flag, generated from the table of settings.

use std::ffi::{OsStr, OsString};

use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches};

use crate::config::{SETTINGS, variable_of};

/// The settings given as flags, by the names of their environment variables.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct Settings {
    pairs: Vec<(String, OsString)>,
}

impl Settings {
    pub(in crate::cli) fn pairs(&self) -> impl Iterator<Item = (String, OsString)> + '_ {
        self.pairs.iter().cloned()
    }

    /// Whether this variable was given as a flag.
    pub(in crate::cli) fn gives(&self, variable: &str) -> bool {
        self.pairs.iter().any(|(name, _)| name == variable)
    }
}

const HEADING: &str = "Settings (also environment variables)";

impl Args for Settings {
    fn augment_args(command: clap::Command) -> clap::Command {
        let flags = SETTINGS.iter().map(|setting| {
            let default = setting
                .default
                .map(|default| format!(" [default: {default}]"))
                .unwrap_or_default();
            let arg = Arg::new(setting.variable)
                .long(setting.flag())
                .value_name("VALUE")
                // A value that is not UTF-8 is reported together with all other wrong settings.
                .value_parser(OsStringValueParser::new())
                .help(format!("{} [env: {}]{default}", setting.meaning, setting.variable))
                .help_heading(HEADING)
                .hide_short_help(setting.alias.is_none())
                .global(true);
            match setting.alias {
                Some(alias) => arg.visible_alias(alias),
                None => arg,
            }
        });
        let property = Arg::new("property")
            .short('X')
            .long("property")
            .value_name("NAME=VALUE")
            .value_parser(OsStringValueParser::new().try_map(|text| property(&text)))
            .action(ArgAction::Append)
            .help("A librdkafka property, such as security.protocol=SASL_SSL; may be repeated [env: KAFKA_<NAME>]")
            .help_heading(HEADING)
            .global(true);
        command.args(flags).arg(property)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Settings {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut settings = Self::default();
        settings.update_from_arg_matches(matches)?;
        Ok(settings)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let named = SETTINGS.iter().filter_map(|setting| {
            let value = matches.get_one::<OsString>(setting.variable)?;
            Some((setting.variable.to_owned(), value.clone()))
        });
        let properties = matches
            .get_many::<(String, OsString)>("property")
            .into_iter()
            .flatten()
            .cloned();
        self.pairs.extend(named.chain(properties));
        Ok(())
    }
}

/// A value that is not UTF-8 is rejected later, so the whole text stands in for it.
fn property(text: &OsStr) -> Result<(String, OsString), String> {
    match (text.to_string_lossy().split_once('='), text.to_str()) {
        (Some((name, value)), utf8) if !name.trim().is_empty() => {
            let value = utf8.map_or_else(|| text.to_owned(), |_| value.into());
            Ok((variable_of(name.trim()), value))
        }
        _ => Err("allowed: NAME=VALUE, such as security.protocol=SASL_SSL".into()),
    }
}
