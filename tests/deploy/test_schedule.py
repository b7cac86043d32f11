"""The schedules."""

import json
import re

import pytest

from stack import stack, template

RATES = [int(minutes) for minutes in template()["Parameters"]["RateMinutes"]["AllowedValues"]]


def schedules(made):
    return list(made.of_type("AWS::Scheduler::Schedule").values())


@pytest.mark.parametrize("minutes", RATES)
def test_the_rate_is_the_parameter_in_the_syntax_of_the_scheduler(minutes):
    schedule, = schedules(stack(RateMinutes=minutes))
    unit = "minute" if minutes == 1 else "minutes"
    assert schedule["ScheduleExpression"] == f"rate({minutes} {unit})"


@pytest.mark.parametrize("minutes", RATES)
def test_a_run_ends_before_the_next_one_starts(minutes):
    timeout = stack(RateMinutes=minutes).properties("Function")["Timeout"]
    assert timeout == minutes * 60 - 5


@pytest.mark.parametrize("minutes", RATES)
def test_a_run_is_no_longer_than_lambda_lets_a_function_run(minutes):
    assert stack(RateMinutes=minutes).properties("Function")["Timeout"] <= 1800


def test_every_tick_is_on_time_delivered_once_and_discarded_after_a_minute(every_stack):
    for schedule in schedules(every_stack):
        assert schedule["FlexibleTimeWindow"] == {"Mode": "OFF"}, "FLEXIBLE would need a window"
        assert schedule["Target"]["RetryPolicy"] == {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60}
        assert schedule["Target"]["Arn"] == "arn:made-up:Function"
        assert schedule["Target"]["RoleArn"] == "arn:made-up:ScheduleRole"
        assert schedule["GroupName"] == "made-up:ScheduleGroup"


def test_no_tick_comes_before_the_rule_that_it_is_not_repeated():
    for name, resource in template()["Resources"].items():
        if resource["Type"] == "AWS::Scheduler::Schedule":
            assert resource["DependsOn"] == "EventInvokeConfig", name


def test_one_schedule_reads_everything():
    schedule, = schedules(stack())
    assert json.loads(schedule["Target"]["Input"]) == {"action": "run"}


@pytest.mark.parametrize("count", [2, 3, 4])
def test_shards_cover_all_partitions_and_none_twice(count):
    inputs = [json.loads(each["Target"]["Input"]) for each in schedules(stack(Shards=count))]
    assert inputs == [{"action": "run", "shard": f"{number}/{count}"} for number in range(1, count + 1)]


def test_shards_differ_in_nothing_but_their_number():
    made = schedules(stack("four shards"))
    for schedule in made:
        schedule["Target"]["Input"] = re.sub("[1-4]/4", "N/4", schedule["Target"]["Input"])
    assert all(schedule == made[0] for schedule in made)


def test_a_stopped_schedule_stops_all_shards():
    assert {each["State"] for each in schedules(stack("three shards, stopped"))} == {"DISABLED"}


def test_undeliverable_events_are_kept_where_it_is_set(every_stack):
    for schedule in schedules(every_stack):
        kept = schedule["Target"].get("DeadLetterConfig")
        expected = every_stack.parameters["FailedInvocations"] == "queue"
        assert kept == ({"Arn": "arn:made-up:FailedInvocationsQueue"} if expected else None)
