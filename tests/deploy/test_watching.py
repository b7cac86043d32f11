"""Alarms and dashboard use metrics that the program and Lambda write."""

import json
import re

import pytest

from stack import ROOT, STACKS, stack, template

REPORT = (ROOT / "src/report/metrics.rs").read_text()
OURS = set(re.findall(r'count\("(\w+)"', REPORT)) | {"RunDuration"}
AWS = {
    "AWS/Lambda": {"Invocations", "Errors", "Throttles", "Duration", "ConcurrentExecutions"},
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible"},
    "AWS/DynamoDB": {
        "ConsumedReadCapacityUnits",
        "ConsumedWriteCapacityUnits",
        "ReadThrottleEvents",
        "WriteThrottleEvents",
    },
}
QUERY = re.compile(
    r"SELECT (MAX|SUM)\((\w+)\) FROM SCHEMA\(\"KafkaConsumer\", ConsumerGroup, Topic\) WHERE ConsumerGroup = 'billing'"
)
SEARCH = re.compile(
    r"""(?:(?:SUM|MAX)\()?SEARCH\('\{KafkaConsumer,ConsumerGroup,Topic\} ConsumerGroup="billing" MetricName="(\w+)"', """
    r"""'(Sum|Maximum)', (\d+)\)\)?"""
)
DAY = 24 * 60 * 60
# The maximum period of queries.
THREE_HOURS = 3 * 60 * 60


def alarms(made):
    return made.of_type("AWS::CloudWatch::Alarm")


def seconds(made):
    return int(made.parameters["RateMinutes"]) * 60


def dashboard(made):
    return json.loads(made.properties("Dashboard")["DashboardBody"])


def test_the_names_in_the_report_are_read():
    assert {"OffsetLag", "LostEventCount", "BlockedPartitions"} <= OURS and len(OURS) == 11
    assert '"Namespace": "KafkaConsumer"' in REPORT and '[["ConsumerGroup", "Topic"]]' in REPORT


def test_each_problem_has_an_alarm():
    assert alarms(stack()).keys() == {
        "ErrorsAlarm",
        "ThrottlesAlarm",
        "NoInvocationAlarm",
        "DurationAlarm",
        "LagAlarm",
        "BlockedAlarm",
        "LostAlarm",
    }
    assert "SkippedAlarm" in alarms(stack(OnFailure="skip"))
    for target in ("queue", "kafka://dead", "arn:aws:sqs:x:123456789012:dead"):
        assert "DeadLettersAlarm" in alarms(stack(OnFailure=target))


@pytest.mark.parametrize(
    "chosen, alarm, queue",
    [
        ({"OnFailure": "queue"}, "WaitingDeadLettersAlarm", "DeadLetterQueue"),
        ({"FailedInvocations": "queue"}, "WaitingFailedInvocationsAlarm", "FailedInvocationsQueue"),
    ],
)
def test_messages_in_a_queue_of_the_stack_raise_an_alarm_until_they_are_removed(chosen, alarm, queue):
    made = alarms(stack(**chosen))[alarm]
    assert made["Dimensions"] == [{"Name": "QueueName", "Value": f"made-up:{queue}"}]
    assert (made["Statistic"], made["ComparisonOperator"], made["Threshold"]) == ("Maximum", "GreaterThanOrEqualToThreshold", 1)
    assert "OKActions" in made and alarm not in alarms(stack())


def test_alarms_use_metrics_that_exist(every_stack):
    for name, alarm in alarms(every_stack).items():
        if "Namespace" in alarm:
            assert alarm["MetricName"] in AWS[alarm["Namespace"]], name
            dimension, = alarm["Dimensions"]
            if alarm["Namespace"] == "AWS/SQS":
                assert dimension["Name"] == "QueueName" and dimension["Value"].removeprefix("made-up:") in every_stack.resources
            else:
                assert dimension == {"Name": "FunctionName", "Value": "made-up:Function"}, name
        else:
            query, = alarm["Metrics"]
            _, figure = QUERY.fullmatch(query["Expression"]).groups()
            assert figure in OURS and query["ReturnData"] is True, name


def test_each_alarm_names_a_command_or_a_parameter_as_the_next_step(every_stack):
    parameters = "|".join(template()["Parameters"])
    step = re.compile(rf"kafka-consumer (doctor|lag|plan|redrive|offsets)|aws \w+ [a-z-]+|(Increase|Check) ({parameters})")
    for name, alarm in alarms(every_stack).items():
        description = alarm["AlarmDescription"]
        assert step.search(description) and len(description) <= 1024, name


def test_alarms_count_in_ticks_and_within_a_day(every_stack):
    for name, alarm in alarms(every_stack).items():
        queries = alarm.get("Metrics", [])
        period = queries[0]["Period"] if queries else alarm["Period"]
        window = period * alarm["EvaluationPeriods"]
        assert period == seconds(every_stack), name
        assert alarm.get("DatapointsToAlarm", 1) <= alarm["EvaluationPeriods"], name
        assert window <= (THREE_HOURS if queries else DAY), name


@pytest.mark.parametrize("shards", [1, 4])
def test_a_schedule_that_does_not_run_raises_an_alarm(shards):
    alarm = alarms(stack(Shards=shards))["NoInvocationAlarm"]
    assert (alarm["ComparisonOperator"], alarm["Threshold"]) == ("LessThanThreshold", str(shards))
    assert alarm["TreatMissingData"] == "breaching", "no run writes no figure"


def test_a_stopped_schedule_is_no_alarm():
    assert alarms(stack())["NoInvocationAlarm"]["ActionsEnabled"] is True
    assert alarms(stack("three shards, stopped"))["NoInvocationAlarm"]["ActionsEnabled"] is False


@pytest.mark.parametrize("minutes", template()["Parameters"]["RateMinutes"]["AllowedValues"])
def test_a_run_is_long_at_nine_tenths_of_its_timeout(minutes):
    made = stack(RateMinutes=minutes)
    assert alarms(made)["DurationAlarm"]["Threshold"] == made.properties("Function")["Timeout"] * 1000 * 9 // 10


def test_the_lag_that_is_too_much_is_chosen():
    assert alarms(stack(LagThreshold=5))["LagAlarm"]["Threshold"] == "5"


@pytest.mark.parametrize(
    "chosen, notified",
    [
        ({}, []),
        ({"AlarmEmail": "ops@example.com"}, ["arn:made-up:AlarmTopic"]),
        ({"AlarmTopicArn": "arn:aws:sns:x:123456789012:ops"}, ["arn:aws:sns:x:123456789012:ops"]),
    ],
)
def test_every_alarm_notifies_the_topic_or_address_that_is_set(chosen, notified):
    made = stack(**chosen, OnFailure="queue")
    for name, alarm in alarms(made).items():
        assert alarm["AlarmActions"] == notified, name
        assert alarm.get("OKActions", notified) == notified, name


def test_without_its_parameters_there_are_no_alarms():
    made = stack("a table from before")
    assert not alarms(made) and "Dashboard" not in made.resources and "AlarmTopic" not in made.resources


def test_the_dashboard_is_json_and_its_widgets_do_not_overlap():
    taken = set()
    for widget in dashboard(stack())["widgets"]:
        cells = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        assert not cells & taken and max(x for x, _ in cells) < 24
        taken |= cells


@pytest.mark.parametrize("name", [name for name in STACKS if stack(name)._holds("HasDashboard")])
def test_the_dashboard_shows_metrics_that_exist_with_the_period_of_the_schedule(name):
    made = stack(name)
    shown = set()
    for widget in dashboard(made)["widgets"]:
        if widget["type"] != "metric":
            continue
        properties = widget["properties"]
        assert properties["region"] == "xx-test-1" and properties["period"] == seconds(made)
        above = None
        for metric in properties["metrics"]:
            if isinstance(metric[0], dict):
                figure, _, period = SEARCH.fullmatch(metric[0]["expression"]).groups()
                assert figure in OURS and int(period) == seconds(made)
                shown.add(figure)
            elif metric[0] != "...":
                above = [part if part != "." else above[i] for i, part in enumerate(metric[:4])]
                assert above[1] in AWS[above[0]]
                assert above[2:] in (["FunctionName", "made-up:Function"], ["TableName", table(made)])
    assert shown == OURS - {"PolledEventCount", "InvokedEventCount"}, "what was read and not processed shows as failed, skipped or lag"


def table(made):
    return made.parameters["ExistingTable"] or "made-up:Table"


@pytest.mark.parametrize("choice", ["halt", "skip", "queue", "kafka://dead"])
@pytest.mark.parametrize("failed", ["discard", "queue"])
def test_the_dashboard_shows_all_alarms(choice, failed):
    made = stack(OnFailure=choice, FailedInvocations=failed)
    shown, = (widget["properties"]["alarms"] for widget in dashboard(made)["widgets"] if widget["type"] == "alarm")
    assert sorted(shown) == sorted(f"arn:made-up:{name}" for name in alarms(made))


def test_the_dashboard_shows_the_functions_own_logs():
    log, = (widget for widget in dashboard(stack())["widgets"] if widget["type"] == "log")
    assert "SOURCE 'made-up:LogGroup'" in log["properties"]["query"]
