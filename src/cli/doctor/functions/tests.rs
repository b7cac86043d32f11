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

fn code<T>(code: &str) -> Result<T, Refusal> {
    Err(Refusal::Code(code.into(), "planted".into()))
}

fn judged(found: &Result<Found, Refusal>, permitted: &Result<(), Refusal>) -> [Check; 2] {
    judge(&arn(), found, permitted, RUN)
}

#[test]
fn each_combination_of_responses_has_the_checks_of_the_function() {
    type Row = (Result<Found, Refusal>, Result<(), Refusal>, [Status; 2]);
    let rows: [Row; 8] = [
        (Ok(found()), Ok(()), [Fine, Fine]),
        (Ok(found()), code("AccessDeniedException"), [Fine, Failed]),
        (code("AccessDeniedException"), Ok(()), [Warning, Fine]),
        (
            code("AccessDeniedException"),
            code("AccessDeniedException"),
            [Warning, Failed],
        ),
        (
            code("ResourceNotFoundException"),
            code("AccessDeniedException"),
            [Failed, Skipped],
        ),
        (
            code("AccessDeniedException"),
            code("ResourceNotFoundException"),
            [Failed, Skipped],
        ),
        (
            code("ExpiredTokenException"),
            code("ExpiredTokenException"),
            [Failed, Failed],
        ),
        (Ok(found()), code("TooManyRequestsException"), [Fine, Warning]),
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
    let [_, check] = judged(&Ok(found()), &code("AccessDeniedException"));
    assert_eq!(check.what, "this role may not lambda:InvokeFunction");
    let next = check.next.expect("a next step");
    assert!(
        next.starts_with(&format!("Allow lambda:InvokeFunction on exactly {} to", arn())),
        "{next}"
    );
}

#[test]
fn a_refused_dry_run_is_a_failure_unless_runs_wait_for_it() {
    let rows = [
        (
            code("KMSDisabledException"),
            Failed,
            "KMS key of the function: KMSDisabledException",
        ),
        (
            code("InvalidRuntimeException"),
            Failed,
            "refused the dry run: InvalidRuntimeException",
        ),
        (code("SnapStartNotReadyException"), Warning, "refused for now"),
        (code("ExpiredTokenException"), Failed, "refused: ExpiredTokenException"),
        (
            Err(Refusal::Unanswered("timed out".into())),
            Failed,
            "did not respond: timed out",
        ),
        (
            Err(Refusal::NotLambda(
                "a response that is not from Lambda, with HTTP status 404".into(),
            )),
            Skipped,
            "with HTTP status 404; a local runtime",
        ),
        (
            Err(Refusal::Unsent(unsent("no credentials"))),
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
fn messages_about_credentials_and_permissions_are_not_quoted() {
    for denied in [
        "AccessDeniedException",
        "ExpiredTokenException",
        "InvalidSignatureException",
    ] {
        let checks = judged(&code(denied), &code(denied));
        assert!(!format!("{checks:?}").contains("planted"), "{checks:?}");
    }
}
