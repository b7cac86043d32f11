//! The command line without any service: usage, settings, exit codes.

use std::ffi::OsString;
use std::net::TcpListener;
use std::os::unix::ffi::OsStringExt as _;

use assert_cmd::Command;

fn kafka_consumer() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-consumer"));
    command.env_clear();
    command
}

#[test]
fn every_wrong_setting_is_named_together_with_exit_code_2_before_any_connection() {
    let broker = TcpListener::bind("127.0.0.1:0").expect("a free port");
    broker.set_nonblocking(true).expect("a socket of this system");
    let address = broker.local_addr().expect("it is bound");
    let assert = kafka_consumer()
        .args([
            "run",
            "--bootstrap-servers",
            &address.to_string(),
            "--poll-timeout",
            "soon",
        ])
        .envs([
            ("MAX_MESSAGES", "0"),
            ("START_POSITION", "yesterday"),
            ("KAFKA_AUTO_OFFSET_RESET", "latest"),
        ])
        .assert()
        .code(2);
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(stderr.starts_with("InvalidConfiguration: "), "{stderr}");
    for name in [
        "POLL_TIMEOUT",
        "MAX_MESSAGES",
        "START_POSITION",
        "KAFKA_AUTO_OFFSET_RESET",
    ] {
        assert!(stderr.contains(name), "{name} is not named: {stderr}");
    }
    assert!(assert.get_output().stdout.is_empty());
    assert!(broker.accept().is_err(), "nothing connected");
}

#[test]
fn wrong_usage_exits_with_code_2_and_shows_what_is_allowed() {
    for (arguments, expected) in [
        (&["fly"][..], "unrecognized subcommand"),
        (&["run", "--shard", "0/4"], "--shard"),
        (&["run", "--every", "soon"], "60s"),
        (&["run", "--output", "xml"], "json"),
        (&["table"], "create"),
        (&[], "Usage"),
        (&["backfill"], "--name"),
        (&["backfill", "--name", "b"], "--from"),
        (&["backfill", "--name", "a b", "--from", "earliest"], "letters, digits"),
        (&["backfill", "--name", "b", "--from", "yesterday"], "RFC 3339"),
        (
            &["backfill", "--name", "b", "--from", "0:9", "--to", "0:3"],
            "9 and 3; exchange",
        ),
        (
            &["backfill", "--name", "b", "--from", "0:9", "--partition", "1"],
            "partition 0 is named in `from`",
        ),
        (
            &["backfill", "--name", "b", "--from", "earliest", "--partition", "-1"],
            "--partition",
        ),
        (
            &["backfill", "--name", "b", "--from", "earliest", "--max-messages", "0"],
            "MAX_MESSAGES",
        ),
        (
            &["backfill", "--name", "b", "--from", "earliest", "--topic", "a,b"],
            "Choose one with --topic",
        ),
        (&["backfill", "--name", "b", "list"], "takes no --name"),
        (&["backfill", "list", "--all"], "--all"),
        (&["backfill", "show"], "show"),
    ] {
        let assert = kafka_consumer().args(arguments).assert().code(2);
        let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
}

#[test]
fn wrong_usage_of_offsets_exits_with_code_2_and_shows_what_is_allowed() {
    for (arguments, expected) in [
        (&[][..], "reset"),
        (&["reset"], "--to-earliest"),
        (&["reset", "--execute"], "--to-earliest"),
        (&["reset", "--to-latest", "--to-earliest"], "cannot be used with"),
        (&["reset", "--to-offset", "1", "--shift-by", "1"], "cannot be used with"),
        (&["reset", "--to-offset"], "a value is required"),
        (&["reset", "--to-offset", "-1"], "-1"),
        (&["reset", "--to-offset", "9223372036854775808"], "9223372036854775808"),
        (&["reset", "--shift-by", "far"], "far"),
        (&["reset", "--to-datetime", "yesterday"], "2026-11-01T06:00:00Z"),
        (&["reset", "--to-datetime", "1950-01-01T00:00:00Z"], "--to-earliest"),
        (&["reset", "--by-duration", "-2h"], "unexpected argument"),
        (&["reset", "--by-duration=-PT2H"], "PT2H"),
        (&["reset", "--by-duration", "2"], "PT2H"),
        (&["reset", "--to-latest", "--partition", "-1"], "--partition"),
        (&["reset", "--to-latest", "--partition", "one"], "--partition"),
        (&["reset", "--to-latest", "7"], "unexpected argument"),
        (&["undo", "--to-latest"], "unexpected argument"),
        (&["undo", "--partition"], "a value is required"),
        (&["pause", "--execute"], "unexpected argument"),
        (&["resume", "--partition", "-1"], "--partition"),
        (&["import"], "--from-group"),
        (&["import", "--from-group", ""], "--from-group"),
        (&["import", "--to-group", "g"], "--to-group"),
        (&["export", "--execute"], "--to-group"),
        (&["export", "--to-group"], "a value is required"),
    ] {
        let assert = kafka_consumer().arg("offsets").args(arguments).assert().code(2);
        let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
        assert!(assert.get_output().stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_written_to_stdout_and_exit_with_code_0() {
    for arguments in [&["--help"][..], &["run", "--help"], &["plan", "-h"], &["--version"]] {
        let assert = kafka_consumer().args(arguments).assert().success();
        assert!(!assert.get_output().stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn the_help_of_a_reset_distinguishes_minutes_from_months() {
    let assert = kafka_consumer().args(["offsets", "reset", "--help"]).assert().success();
    let help = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("`2m` is two minutes, `2M` two months"), "{help}");
}

#[test]
fn a_flag_takes_precedence_over_the_environment() {
    let assert = kafka_consumer()
        .args(["run", "--max-messages", "none"])
        .env("MAX_MESSAGES", "5")
        .assert()
        .code(2);
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(stderr.contains("MAX_MESSAGES=\"none\""), "{stderr}");
}

#[test]
fn values_that_are_not_utf_8_are_named_together_with_exit_code_2_and_never_shown() {
    let not_text = |start: &str| OsString::from_vec([start.as_bytes(), b"planted\xe9"].concat());
    let assert = kafka_consumer()
        .args(["run", "--max-messages", "0", "--group-id"])
        .arg(not_text(""))
        .arg(not_text("--table="))
        .arg("-X")
        .arg(not_text("sasl.password="))
        .env("ON_FAILURE", not_text(""))
        .env("AWS_PROFILE", not_text(""))
        .assert()
        .code(2);
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(stderr.starts_with("InvalidConfiguration: "), "{stderr}");
    for name in [
        "KAFKA_GROUP_ID",
        "DYNAMODB_TABLE",
        "KAFKA_SASL_PASSWORD",
        "ON_FAILURE",
        "AWS_PROFILE",
    ] {
        assert!(stderr.contains(&format!("{name}: is not UTF-8")), "{name}: {stderr}");
    }
    assert!(stderr.contains("MAX_MESSAGES=\"0\""), "{stderr}");
    assert!(!stderr.contains("planted"), "{stderr}");
}

#[test]
fn an_endpoint_without_its_scheme_is_an_error_of_one_sentence() {
    let assert = kafka_consumer()
        .arg("run")
        .env("AWS_ENDPOINT_URL_DYNAMODB", "127.0.0.1:8000")
        .assert()
        .code(2);
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert_eq!(
        stderr,
        "InvalidConfiguration: AWS_ENDPOINT_URL_DYNAMODB=\"127.0.0.1:8000\": must be a URL with its scheme, such as \
         http://127.0.0.1:8000\n"
    );
}

#[test]
fn a_profile_with_an_invalid_endpoint_or_region_is_an_error_of_one_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config");
    let credentials = "aws_access_key_id = x\naws_secret_access_key = planted";
    for (lines, exit, expected) in [
        (
            "region = x\nendpoint_url = 127.0.0.1:8000",
            1,
            "the endpoint \"127.0.0.1:8000\" is not a URL. Correct endpoint_url in the profile of ~/.aws/config",
        ),
        (
            "region = eu central 1",
            2,
            "InvalidConfiguration: \"eu central 1\" cannot be the name of a region",
        ),
    ] {
        std::fs::write(&config, format!("[default]\n{lines}\n{credentials}\n")).expect("a file");
        let mut command = kafka_consumer();
        command
            .args(["table", "create"])
            .env("AWS_CONFIG_FILE", &config)
            .env("RUST_LOG", "error");
        let assert = command.assert().code(exit);
        let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(stderr.contains(expected) && stderr.len() < 400, "{stderr}");
    }
}

#[test]
fn a_profile_that_does_not_exist_is_named_with_the_files_that_were_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config");
    std::fs::write(&config, "[profile other]\nregion = eu-central-1\n").expect("a file");
    let region_or_credentials = [None, Some("us-east-1")];
    for region in region_or_credentials {
        let mut command = kafka_consumer();
        command
            .args(["table", "create"])
            .env("HOME", folder.path())
            .env("AWS_CONFIG_FILE", &config)
            .env("AWS_PROFILE", "nope")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(region.map(|region| ("AWS_REGION", region)));
        let assert = command.assert().failure();
        let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        let credentials = folder.path().join(".aws/credentials");
        let expected = format!(
            "AWS_PROFILE names the profile \"nope\", and neither {} nor {} (no such file) has it. Correct AWS_PROFILE, \
             or add the profile\n",
            config.display(),
            credentials.display()
        );
        assert!(stderr.ends_with(&expected), "{region:?}: {stderr}");
        assert!(stderr.len() < 600, "{stderr}");
    }
}

#[test]
fn a_missing_region_is_an_error_before_any_request() {
    let assert = kafka_consumer()
        .arg("run")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .assert()
        .code(2);
    let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
    assert!(stderr.contains("AWS_REGION"), "{stderr}");
}

#[test]
fn wrong_usage_of_the_inspecting_and_completing_commands_shows_what_is_allowed() {
    let cases: [(&[&str], &str); 12] = [
        (&["lag", "--watch", "0"], "1..=86400"),
        (&["lag", "--watch", "soon"], "--watch"),
        (&["lag", "--partition", "-1"], "--partition"),
        (&["lag", "--partition", "x"], "--partition"),
        (&["lag", "--shard", "4/3"], "--shard"),
        (&["lag", "now"], "unexpected argument"),
        (&["offsets"], "list"),
        (&["offsets", "list", "--watch"], "--watch"),
        (&["plan", "--every", "60s"], "--every"),
        (&["run", "--every", "0s"], "1s or more"),
        (&["completions"], "<SHELL>"),
        (&["completions", "tcsh"], "bash, elvish, fish, powershell, zsh, man"),
    ];
    for (arguments, expected) in cases {
        let assert = kafka_consumer().args(arguments).assert().code(2);
        let output = assert.get_output();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            stderr.contains(expected) && output.stdout.is_empty(),
            "{arguments:?}: {stderr}"
        );
    }
}

#[test]
fn inspecting_with_a_wrong_setting_exits_with_code_2() {
    for arguments in [
        &["lag"][..],
        &["offsets", "list"],
        &["plan"],
        &["run", "--every", "60s"],
    ] {
        let command = &mut kafka_consumer();
        let assert = command.args(arguments).env("POLL_TIMEOUT", "soon").assert().code(2);
        let stderr = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
        assert!(stderr.starts_with("InvalidConfiguration: "), "{arguments:?}: {stderr}");
    }
}

#[test]
fn the_completions_of_each_shell_contain_the_commands_and_the_settings() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let assert = kafka_consumer().args(["completions", shell]).assert().success();
        let script = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
        for word in ["kafka-consumer", "lag", "offsets", "watch", "start-position"] {
            assert!(script.contains(word), "{word} is missing for {shell}");
        }
    }
}

#[test]
fn the_manual_has_a_page_for_the_program_and_for_each_command() {
    let assert = kafka_consumer().args(["completions", "man"]).assert().success();
    let manual = String::from_utf8_lossy(&assert.get_output().stdout).into_owned();
    for page in [
        "kafka-consumer",
        "kafka-consumer-lag",
        "kafka-consumer-offsets-list",
        "kafka-consumer-run",
    ] {
        assert!(manual.contains(&format!("\n.TH {page} 1")), "no page {page}");
    }
    for words in ["START_POSITION", "MAX_MEMORY_BYTES", "Exit codes", "\\-\\-watch"] {
        assert!(manual.contains(words), "{words} is not explained");
    }
}
