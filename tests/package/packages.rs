//! The unpacked packages, and functions made of them.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::support::runtime_api::{Function, InitError};
use crate::support::world::World;

/// The packaged functions: the shipped one, by how its librdkafka is linked, and that of `examples/handler`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Package {
    Static,
    Dynamic,
    Handler,
}

pub(crate) const BOTH: [Package; 2] = [Package::Static, Package::Dynamic];

/// The settings of a function in the template.
pub(crate) struct Template {
    pub(crate) environment: Vec<(OsString, OsString)>,
    pub(crate) memory_mb: u32,
    pub(crate) timeout: Duration,
    /// The events of the schedules, where one, two, three and four share a topic.
    pub(crate) events: Vec<Vec<Value>>,
}

impl Package {
    pub(crate) fn bootstrap(self) -> PathBuf {
        let name = match self {
            Self::Static => "function",
            Self::Dynamic => "function-dynamic",
            Self::Handler => "handler/function",
        };
        folder().join(name).join("bootstrap")
    }

    /// Starts it with the template's environment, Lambda's own, and this world's.
    pub(crate) fn start(self, world: &World) -> Function {
        let layer = match self {
            Self::Static | Self::Handler => None,
            Self::Dynamic => Some(layer()),
        };
        self.start_with(world, layer)
            .unwrap_or_else(|error| panic!("{self:?} does not start: {error:#?}"))
    }

    /// The same, with this folder as what Lambda unpacks to /opt.
    pub(crate) fn start_with(self, world: &World, opt: Option<PathBuf>) -> Result<Function, Box<InitError>> {
        let template = template();
        let environment = template.environment.into_iter();
        let environment = environment.chain(lambdas(opt, template.memory_mb));
        Function::start(
            self.bootstrap(),
            environment.chain(world.environment()),
            template.timeout,
        )
    }
}

/// The unpacked layer.
pub(crate) fn layer() -> PathBuf {
    folder().join("layer")
}

pub(crate) fn template() -> Template {
    let path = folder().join("template.json");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let json: Value = serde_json::from_str(&text).expect("JSON");
    let environment = json["environment"].as_object().expect("an object").iter();
    let events = json["events"].as_array().expect("a list").iter();
    Template {
        environment: environment
            .map(|(name, value)| (name.into(), value.as_str().expect("a text").into()))
            .collect(),
        memory_mb: json["memory_mb"]
            .as_u64()
            .and_then(|it| it.try_into().ok())
            .expect("a number"),
        timeout: Duration::from_secs(json["timeout_seconds"].as_u64().expect("a number")),
        events: events.map(|each| each.as_array().expect("a list").clone()).collect(),
    }
}

/// The variables that Lambda sets in addition to the function's own settings.
fn lambdas(opt: Option<PathBuf>, memory_mb: u32) -> impl Iterator<Item = (OsString, OsString)> {
    let mut libraries = OsString::from("/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib");
    if let Some(opt) = opt {
        libraries.push(":");
        libraries.push(opt.join("lib"));
    }
    let own = [
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory_mb.to_string()),
        ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
        ("AWS_LAMBDA_LOG_LEVEL", "INFO".to_owned()),
        ("AWS_SESSION_TOKEN", "test".to_owned()),
        ("LAMBDA_TASK_ROOT", "/var/task".to_owned()),
        ("LAMBDA_RUNTIME_DIR", "/var/runtime".to_owned()),
        ("LANG", "en_US.UTF-8".to_owned()),
        ("TZ", ":UTC".to_owned()),
        ("_HANDLER", "bootstrap".to_owned()),
    ];
    let own = own.into_iter().map(|(name, value)| (name.into(), value.into()));
    own.chain([("LD_LIBRARY_PATH".into(), libraries)])
}

pub(crate) fn folder() -> PathBuf {
    let folder = std::env::var_os("PACKAGES").filter(|folder| !folder.is_empty());
    folder.map_or_else(
        || panic!("these tests need unpacked packages: `make check-deploy` builds them and runs the tests"),
        PathBuf::from,
    )
}
