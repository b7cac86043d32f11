use super::*;
use crate::cli::doctor::check::Status::{self, Failed, Ok as Fine, Skipped, Warning};

const RUN: Duration = Duration::from_mins(1);

fn arn() -> FunctionArn {
    let arn = "arn:aws:lambda:eu-west-1:123456789012:function:orders:live";
    arn.parse().expect("a function")
}

fn found() -> Found {
    Found {
        timeout_s: 30,
        state: "Active".into(),
        state_reason: None,
        last_update: "Successful".into(),
        last_update_reason: None,
    }
}

fn refused<T>(status: u16, code: &str) -> Result<T, Failure> {
    Err(Failure::Refused(status, code.into(), "planted".into()))
}

fn denied<T>() -> Result<T, Failure> {
    refused(403, "AccessDeniedException")
}

fn missing<T>() -> Result<T, Failure> {
    refused(404, "ResourceNotFoundException")
}

fn throttled<T>() -> Result<T, Failure> {
    refused(429, "TooManyRequestsException")
}

fn expired<T>() -> Result<T, Failure> {
    refused(403, "ExpiredTokenException")
}

fn judged(found: &Result<Found, Failure>, permitted: &Result<(), Failure>) -> [Check; 2] {
    judge(&arn(), found, permitted, RUN)
}

#[test]
fn each_combination_of_responses_has_the_checks_of_the_function() {
    type Row = (Result<Found, Failure>, Result<(), Failure>, [Status; 2]);
    let rows: [Row; 9] = [
        (Ok(found()), Ok(()), [Fine, Fine]),
        (Ok(found()), denied(), [Fine, Failed]),
        (denied(), Ok(()), [Warning, Fine]),
        (denied(), denied(), [Warning, Failed]),
        (missing(), denied(), [Failed, Skipped]),
        (denied(), missing(), [Failed, Skipped]),
        (expired(), expired(), [Failed, Failed]),
        (Ok(found()), throttled(), [Fine, Warning]),
        (throttled(), Ok(()), [Warning, Fine]),
    ];
    for (found, permitted, expected) in rows {
        let checks = judged(&found, &permitted);
        assert_eq!([checks[0].status, checks[1].status], expected, "{checks:?}");
    }
}

#[test]
fn each_state_of_a_function_has_its_check() {
    type Change = fn(&mut Found);
    let rows: [(Change, Status, &str); 9] = [
        (|_| (), Fine, "its timeout of 30 s is below the 60 s of a run"),
        (|it| it.timeout_s = 59, Fine, "59 s is below the 60 s"),
        (|it| it.timeout_s = 60, Warning, "60 s is not below the 60 s of a run"),
        (
            |it| it.timeout_s = 900,
            Warning,
            "timeout of 900 s is not below the 60 s",
        ),
        (
            |it| it.state = "Pending".into(),
            Warning,
            "it is being created: runs wait",
        ),
        (
            |it| (it.state, it.state_reason) = ("Inactive".into(), Some("Idle".into())),
            Warning,
            "it is inactive (Idle)",
        ),
        (
            |it| (it.state, it.state_reason) = ("Failed".into(), Some("DisabledKMSKey".into())),
            Failed,
            "its state is Failed (DisabledKMSKey)",
        ),
        (|it| it.state = "Deleting".into(), Failed, "its state is Deleting"),
        (
            |it| (it.last_update, it.last_update_reason) = ("Failed".into(), Some("InvalidImage".into())),
            Warning,
            "its last update failed (InvalidImage): it runs with the code and the settings from before",
        ),
    ];
    for (change, status, what) in rows {
        let mut found = found();
        change(&mut found);
        let check = of_configuration(&found, RUN);
        assert_eq!(check.status, status, "{check:?}");
        assert!(check.what.contains(what), "{check:?}");
    }
}

#[test]
fn a_denied_invocation_names_the_permission_and_the_whole_arn() {
    let [_, check] = judged(&Ok(found()), &denied());
    assert_eq!(check.what, "this role may not lambda:InvokeFunction");
    assert_eq!(check.details, ["planted"], "AWS's message names the role");
    let next = check.next.expect("a next step");
    assert!(
        next.starts_with(&format!("Allow lambda:InvokeFunction on exactly {} to", arn())),
        "{next}"
    );
}

#[test]
fn a_refused_dry_run_is_a_failure_unless_a_run_calls_again() {
    let not_lambda = "a response that is not from Lambda, with HTTP status 404";
    let rows = [
        (
            refused(502, "KMSDisabledException"),
            Failed,
            "KMS key of the function: KMSDisabledException",
        ),
        (
            refused(502, "InvalidRuntimeException"),
            Failed,
            "refused the dry run of Invoke: InvalidRuntimeException",
        ),
        (
            refused(409, "SnapStartNotReadyException"),
            Warning,
            "dry run of Invoke for now",
        ),
        (refused(500, "ServiceException"), Warning, "dry run of Invoke for now"),
        (expired(), Failed, "refused: ExpiredTokenException"),
        (
            Err(Failure::NoResponse("timed out".into())),
            Failed,
            "did not respond: timed out",
        ),
        (
            Err(Failure::NotLambda(not_lambda.into())),
            Skipped,
            "status 404; a local runtime",
        ),
        (
            Err(Failure::Unsent(unsent("no credentials"))),
            Failed,
            "no request was sent",
        ),
    ];
    for (permitted, status, what) in rows {
        let check = of_dry_run(&arn(), &permitted);
        assert_eq!(check.status, status, "{check:?}");
        assert!(check.what.contains(what), "{check:?}");
    }
}

#[test]
fn messages_about_credentials_are_not_quoted() {
    for code in ["ExpiredTokenException", "InvalidSignatureException"] {
        let checks = judged(&refused(403, code), &refused(403, code));
        assert!(!format!("{checks:?}").contains("planted"), "{checks:?}");
    }
}
