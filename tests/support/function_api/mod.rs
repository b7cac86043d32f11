//! Lambda's API as far as this project calls it: `Invoke` and `GetFunctionConfiguration`, with AWS's limits, errors and
//! headers, and replies that the test decides.

mod call;
mod reply;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::json;

pub(crate) use self::call::Call;
pub(crate) use self::reply::Reply;
use super::http::{self, Request};
use super::runtime_api;

/// AWS's limit of a synchronous request's payload, in bytes.
pub(crate) const REQUEST_LIMIT: usize = 6_291_456;
/// AWS's limit of `X-Amz-Client-Context`, in bytes as it is sent.
const CONTEXT_LIMIT: usize = 3_583;

type Rule = Arc<dyn Fn(&Call) -> Reply + Send + Sync>;

/// A running server. Clones are the same server; it ends with the process.
#[derive(Debug, Clone)]
pub(crate) struct FunctionApi {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    is_emulator: Arc<AtomicBool>,
    functions: Arc<Mutex<HashMap<String, Function>>>,
}

/// What `GetFunctionConfiguration` returns of a function.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    /// Seconds.
    pub(crate) timeout: u32,
    /// MiB.
    pub(crate) memory: u32,
    pub(crate) state: &'static str,
    pub(crate) last_update: &'static str,
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            timeout: 30,
            memory: 128,
            state: "Active",
            last_update: "Successful",
        }
    }
}

#[derive(Default)]
struct Function {
    configuration: Configuration,
    forbidden: Vec<&'static str>,
    script: VecDeque<Reply>,
    rule: Option<Rule>,
    calls: Vec<Call>,
    dry_runs: usize,
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function")
            .field("calls", &self.calls.len())
            .finish_non_exhaustive()
    }
}

impl FunctionApi {
    /// Starts a server that has no functions.
    pub(crate) fn start() -> Self {
        let (functions, connections) = (Arc::default(), Arc::new(AtomicUsize::new(0)));
        let is_emulator = Arc::new(AtomicBool::new(false));
        let accepted = Arc::clone(&connections);
        let (serving, emulates) = (Arc::clone(&functions), Arc::clone(&is_emulator));
        let address = http::start(
            move || {
                accepted.fetch_add(1, Ordering::SeqCst);
            },
            move |request| serve(request, &serving, emulates.load(Ordering::SeqCst)),
        );
        Self {
            address,
            connections,
            is_emulator,
            functions,
        }
    }

    /// A value for `AWS_ENDPOINT_URL_LAMBDA`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it is as Lambda's emulators are on a developer's machine: `cargo lambda watch` and the Runtime
    /// Interface Emulator have no function by an ARN, and their 404 has no error code; the latter does not mark a
    /// function's error.
    pub(crate) fn emulate(&self) -> &Self {
        self.is_emulator.store(true, Ordering::SeqCst);
        self
    }

    /// Creates the function `name`, or replaces its code: `rule` decides the reply to each invocation.
    pub(crate) fn on(&self, name: &str, rule: impl Fn(&Call) -> Reply + Send + Sync + 'static) -> &Self {
        self.function(name, |function| function.rule = Some(Arc::new(rule)));
        self
    }

    /// Creates the function `name` if it does not exist, and sets the replies to its next invocations. Afterwards the
    /// rule of [`on`](Self::on) decides again; without one the last reply is repeated.
    pub(crate) fn script(&self, name: &str, replies: Vec<Reply>) -> &Self {
        self.function(name, |function| {
            if let (None, Some(last)) = (&function.rule, replies.last().cloned()) {
                function.rule = Some(Arc::new(move |_| last.clone()));
            }
            function.script.extend(replies);
        });
        self
    }

    /// Creates the function `name` whose code is a program that uses the Runtime API. It is killed when what is
    /// returned is dropped.
    pub(crate) fn run(&self, name: &str, program: runtime_api::Function) -> Arc<Mutex<runtime_api::Function>> {
        let program = Arc::new(Mutex::new(program));
        // This server does not end before the process, and a process that ends drops nothing.
        let running = Arc::downgrade(&program);
        self.on(name, move |call| {
            let Some(running) = running.upgrade() else {
                return Reply::DropConnection;
            };
            let mut program = running.lock().expect("the program runs");
            Reply::of(program.invoke_with(&call.text(), Some(&call.client_context)))
        });
        program
    }

    /// Sets what `GetFunctionConfiguration` returns.
    pub(crate) fn configure(&self, name: &str, configuration: Configuration) -> &Self {
        self.function(name, |function| function.configuration = configuration);
        self
    }

    /// Denies an action on a function: `lambda:InvokeFunction`, which is that of dry runs too, or
    /// `lambda:GetFunctionConfiguration`.
    pub(crate) fn forbid(&self, name: &str, action: &'static str) -> &Self {
        self.function(name, |function| function.forbidden.push(action));
        self
    }

    /// The invocations of a function that ran, in the order of their arrival. Dry runs are not among them.
    pub(crate) fn calls(&self, name: &str) -> Vec<Call> {
        lock(&self.functions)
            .get(name)
            .map_or_else(Vec::new, |function| function.calls.clone())
    }

    /// The offsets in each of a function's calls.
    pub(crate) fn offsets(&self, name: &str) -> Vec<Vec<i64>> {
        self.calls(name).iter().map(Call::offsets).collect()
    }

    /// The number of dry runs that were permitted.
    pub(crate) fn dry_runs(&self, name: &str) -> usize {
        lock(&self.functions).get(name).map_or(0, |function| function.dry_runs)
    }

    /// The number of connections that were opened.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn function(&self, name: &str, change: impl FnOnce(&mut Function)) {
        change(lock(&self.functions).entry(name.to_owned()).or_default());
    }
}

/// The URL of a server whose functions all return at once, and remember no call.
pub(crate) fn start_of_instant_functions() -> String {
    start_of_functions(Duration::ZERO)
}

/// The same, of functions that take so long.
pub(crate) fn start_of_functions(take: Duration) -> String {
    let reply = move || Reply::ok("null").after(take).send();
    format!("http://{}", http::start(|| {}, move |_| reply()))
}

/// The ARN of a function that [`FunctionApi`] has by this name.
pub(crate) fn arn(name: &str) -> String {
    format!("arn:aws:lambda:us-east-1:123456789012:function:{name}")
}

fn lock(functions: &Mutex<HashMap<String, Function>>) -> MutexGuard<'_, HashMap<String, Function>> {
    functions.lock().expect("no panic with the lock held")
}

/// The response to a request; `None` closes the connection.
fn serve(request: Request, functions: &Mutex<HashMap<String, Function>>, is_emulator: bool) -> Option<Vec<u8>> {
    let path = request.path.split('?').next().unwrap_or_default().to_owned();
    let place = path
        .strip_prefix("/2015-03-31/functions/")
        .and_then(|rest| rest.split_once('/'));
    match (request.method.as_str(), place) {
        (_, Some((id, _))) if is_emulator && id.starts_with("arn") => {
            Some(http::response(404, "", b"404 page not found"))
        }
        ("POST", Some((id, "invocations"))) if is_emulator => invoke(Call::of(id, request), functions)
            .map_or_else(|error| error, Reply::without_mark)
            .send(),
        ("POST", Some((id, "invocations"))) => match invoke(Call::of(id, request), functions) {
            Ok(reply) => reply.send(),
            Err(error) => error.send(),
        },
        ("GET", Some((id, "configuration"))) => configuration(&Call::of(id, request), functions).send(),
        _ => Reply::error(404, "UnknownOperationException", "there is no such operation").send(),
    }
}

/// The reply that the test has decided, or the error of a request that AWS does not hand to a function.
fn invoke(call: Call, functions: &Mutex<HashMap<String, Function>>) -> Result<Reply, Reply> {
    let rule = {
        let mut functions = lock(functions);
        let function = permitted(&mut functions, &call, "lambda:InvokeFunction")?;
        acceptable(&call)?;
        if call.invocation_type == "DryRun" {
            function.dry_runs += 1;
            return Ok(Reply::NoContent);
        }
        match function.script.pop_front() {
            Some(Reply::DropBeforeRead) => return Ok(Reply::DropBeforeRead),
            Some(reply) => {
                function.calls.push(call);
                return Ok(reply);
            }
            None => {}
        }
        function.calls.push(call.clone());
        function.rule.clone()
    };
    // Without the lock: a rule may wait, or look at the calls.
    Ok(rule.map_or_else(|| Reply::ok("null"), |rule| rule(&call)))
}

fn permitted<'a>(
    functions: &'a mut HashMap<String, Function>,
    call: &Call,
    action: &str,
) -> Result<&'a mut Function, Reply> {
    let Some(function) = functions.get_mut(&call.function) else {
        let message = format!("Function not found: {}", call.arn);
        return Err(Reply::error(404, "ResourceNotFoundException", message));
    };
    if function.forbidden.contains(&action) {
        let message = format!(
            "User: arn:aws:sts::123456789012:assumed-role/consumer/test is not authorized to perform: {action} on \
             resource: {} because no identity-based policy allows the {action} action",
            call.arn
        );
        return Err(Reply::error(403, "AccessDeniedException", message));
    }
    Ok(function)
}

/// Checks what AWS checks before it runs a function.
fn acceptable(call: &Call) -> Result<(), Reply> {
    let length = call.payload.len();
    if length > REQUEST_LIMIT {
        let message = format!(
            "{length} byte payload is too large for the RequestResponse invocation type (limit {REQUEST_LIMIT} bytes)"
        );
        return Err(Reply::error(413, "RequestEntityTooLargeException", message));
    }
    if call.context_length > CONTEXT_LIMIT {
        let message = format!("Client context must be no more than {CONTEXT_LIMIT} bytes");
        return Err(Reply::error(400, "InvalidRequestContentException", message));
    }
    if call.event.is_null() && !matches!(call.payload.as_slice(), b"null" | b"") {
        let message = "Could not parse request body into json";
        return Err(Reply::error(400, "InvalidRequestContentException", message));
    }
    Ok(())
}

fn configuration(call: &Call, functions: &Mutex<HashMap<String, Function>>) -> Reply {
    let mut functions = lock(functions);
    let function = match permitted(&mut functions, call, "lambda:GetFunctionConfiguration") {
        Ok(function) => function,
        Err(error) => return error,
    };
    let Configuration {
        timeout,
        memory,
        state,
        last_update,
    } = function.configuration;
    Reply::ok(
        json!({
            "FunctionName": call.function, "FunctionArn": call.arn, "Timeout": timeout, "MemorySize": memory,
            "State": state, "LastUpdateStatus": last_update, "Version": call.version(), "Runtime": "python3.13",
        })
        .to_string(),
    )
}
