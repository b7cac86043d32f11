"""The permissions of the roles: none missing, none extra."""

import json

import pytest

from stack import ALIAS, BUS, CA_SECRET, CLUSTER, DEAD_LETTER_KEY, DESTINATION_TABLE, FUNCTION, HEADERS_SECRET, IAM, KEY, QUEUE, ROUTES, SCRAM, SECRET, SECRET_KEY, SERVICES, TOPIC, VPC, stack

ALWAYS = {
    ("logs:CreateLogStream", "arn:made-up:LogGroup"),
    ("logs:PutLogEvents", "arn:made-up:LogGroup"),
    ("dynamodb:Query", "arn:made-up:Table"),
    ("dynamodb:GetItem", "arn:made-up:Table"),
    ("dynamodb:UpdateItem", "arn:made-up:Table"),
}
NETWORK = {
    ("ec2:CreateNetworkInterface", "*"),
    ("ec2:DescribeNetworkInterfaces", "*"),
    ("ec2:DescribeSubnets", "*"),
    ("ec2:DeleteNetworkInterface", "*"),
    ("ec2:AssignPrivateIpAddresses", "*"),
    ("ec2:UnassignPrivateIpAddresses", "*"),
}

TRACES = {("xray:PutTraceSegments", "*"), ("xray:PutTelemetryRecords", "*")}


def listed(value):
    return value if isinstance(value, list) else [value]


def statements(made, role):
    for policy in made.properties(role)["Policies"]:
        yield from policy["PolicyDocument"]["Statement"]


def applies(action, resource):
    """Whether IAM applies an action to a resource: not to an ARN of another service."""
    service = action.split(":")[0]
    # Those of Kafka's actions are of `kafka`, and the made-up ones name no service.
    return not resource.startswith("arn:aws:") or resource.split(":")[2] == service or service == "kafka-cluster"


def permissions(made, role="FunctionRole"):
    return {
        (action, resource)
        for each in statements(made, role)
        for action in listed(each["Action"])
        for resource in listed(each["Resource"])
        if each["Effect"] == "Allow" and applies(action, resource)
    }


def msk(kind, name):
    return CLUSTER.replace(":cluster/", f":{kind}/") + f"/{name}"


def test_the_least_stack_may_log_and_move_cursors():
    assert permissions(stack()) == ALWAYS


def test_an_existing_table_is_named_in_the_stacks_own_partition_region_and_account():
    tables = {resource for action, resource in permissions(stack("a table from before")) if action.startswith("dynamodb:")}
    assert tables == {"arn:aws-test:dynamodb:xx-test-1:123456789012:table/offsets"}


def test_of_a_shared_table_only_the_cursors_of_the_groups_topics_and_their_backfills_are_touched():
    made = stack("a table from before", KafkaTopic="orders,refunds")
    cursors, = (each for each in statements(made, "FunctionRole") if "dynamodb:Query" in each["Action"])
    (operator, keys), = cursors["Condition"].items()
    assert operator == "ForAllValues:StringLike" and set(keys["dynamodb:LeadingKeys"]) == {
        "billing_orders",
        "billing_orders#*",
        "billing_refunds",
        "billing_refunds#*",
    }, "billing_* would be also those of a group billing_eu"


def test_secrets_are_read_one_by_one_and_decrypted_by_their_key():
    assert permissions(stack(**SCRAM)) - ALWAYS == {
        ("secretsmanager:GetSecretValue", SECRET),
        ("secretsmanager:GetSecretValue", CA_SECRET),
        ("kms:Decrypt", SECRET_KEY),
    }


def test_the_secrets_key_decrypts_nothing_but_these_secrets():
    decrypt, = (each for each in statements(stack(**SCRAM), "FunctionRole") if each["Action"] == "kms:Decrypt")
    assert decrypt["Condition"] == {"StringEquals": {"kms:EncryptionContext:SecretARN": [SECRET, CA_SECRET]}}


def test_the_headers_of_http_endpoints_are_one_more_secret():
    made = stack("an HTTP endpoint")
    assert permissions(made) - ALWAYS == {("secretsmanager:GetSecretValue", HEADERS_SECRET), ("kms:Decrypt", SECRET_KEY)}
    decrypt, = (each for each in statements(made, "FunctionRole") if each["Action"] == "kms:Decrypt")
    assert decrypt["Condition"] == {"StringEquals": {"kms:EncryptionContext:SecretARN": [HEADERS_SECRET]}}
    assert made.properties("Function")["Environment"]["Variables"]["HTTP_HEADERS_SECRET_ARN"] == HEADERS_SECRET


def test_a_secret_without_its_own_key_needs_no_permission_on_keys():
    assert permissions(stack("mutual TLS")) - ALWAYS == {("secretsmanager:GetSecretValue", SECRET)}


@pytest.mark.parametrize(
    "choice, expected",
    [
        ("halt", set()),
        ("skip", set()),
        ("kafka://dead", set()),
        ("queue", {("sqs:SendMessage", "arn:made-up:DeadLetterQueue")}),
        (QUEUE, {("sqs:SendMessage", QUEUE)}),
    ],
)
def test_dead_letters_are_sent_to_their_queue_only(choice, expected):
    assert permissions(stack(OnFailure=choice)) - ALWAYS == expected


@pytest.mark.parametrize(
    "destination, functions",
    [
        ("log", []),
        ("discard", []),
        ('{"orders":"log","*":"discard"}', []),
        (FUNCTION, [FUNCTION]),
        (ALIAS, [ALIAS]),
        (f"{FUNCTION}:$LATEST", [f"{FUNCTION}:$LATEST"]),
        (ROUTES, [ALIAS, FUNCTION]),
        (json.dumps({"orders": ALIAS}, indent=2), [ALIAS]),
        ('{"orders":{"to":"discard","filters":[{"value":{"a arn:":["x"]}}]}}', []),
    ],
)
def test_the_functions_of_the_destination_may_be_invoked_and_no_other(destination, functions):
    assert permissions(stack(Destination=destination)) - ALWAYS == {("lambda:InvokeFunction", each) for each in functions}


def test_to_each_destination_what_its_service_needs_is_permitted_and_nothing_else():
    bus = {(action, BUS) for action in ("events:PutEvents", "events:DescribeEventBus")}
    table = {(action, DESTINATION_TABLE) for action in ("dynamodb:DescribeTable", "dynamodb:PutItem")}
    rows = [
        (QUEUE, {("sqs:SendMessage", QUEUE)}),
        (TOPIC, {("sns:Publish", TOPIC)}),
        (BUS, bus),
        (SERVICES, {("lambda:InvokeFunction", ALIAS), ("sqs:SendMessage", QUEUE), ("sns:Publish", TOPIC), *bus, *table}),
    ]
    for destination, expected in rows:
        made = stack(Destination=destination)
        assert permissions(made) - ALWAYS == expected
        services = {action.split(":")[0] for each in statements(made, "FunctionRole") for action in listed(each["Action"])}
        always = {"logs", "dynamodb", "lambda"}
        assert services - always == {action.split(":")[0] for action, _ in expected} - always


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_each_function_of_the_routes_may_be_invoked(count):
    functions = [f"{FUNCTION}-{number}:live" for number in range(count)]
    made = stack(Destination=json.dumps(dict(zip("abcde", functions))))
    assert permissions(made) - ALWAYS == {("lambda:InvokeFunction", each) for each in functions}


@pytest.mark.parametrize(
    "destination",
    [DESTINATION_TABLE, json.dumps({"orders": "log", "customers": {"to": DESTINATION_TABLE, "batch_size": 10}}, indent=1)],
)
def test_the_table_of_the_destination_may_be_described_and_written_to_and_nothing_else(destination):
    expected = {("dynamodb:DescribeTable", DESTINATION_TABLE), ("dynamodb:PutItem", DESTINATION_TABLE)}
    assert permissions(stack(Destination=destination)) - ALWAYS == expected


def test_of_functions_and_tables_by_topic_each_has_the_permissions_of_its_service():
    """An action of one service has no effect on the resources of another."""
    made = stack(Destination=json.dumps({"orders": ALIAS, "customers": DESTINATION_TABLE}))
    effective = {(action, arn) for action, arn in permissions(made) - ALWAYS if action.split(":")[0] == arn.split(":")[2]}
    assert effective == {
        ("lambda:InvokeFunction", ALIAS),
        ("dynamodb:DescribeTable", DESTINATION_TABLE),
        ("dynamodb:PutItem", DESTINATION_TABLE),
    }


def test_failed_invocations_are_kept_by_the_function_and_by_the_schedule():
    made = stack(FailedInvocations="queue")
    permission = ("sqs:SendMessage", "arn:made-up:FailedInvocationsQueue")
    assert permissions(made) - ALWAYS == {permission}
    assert permission in permissions(made, "ScheduleRole")


def test_without_a_vpc_there_is_no_permission_on_the_network():
    assert not NETWORK & permissions(stack())


def test_in_a_vpc_lambda_may_make_network_interfaces_and_the_code_may_not():
    made = stack(**{name: VPC[name] for name in ("SubnetIds", "SecurityGroupIds")})
    assert permissions(made) - ALWAYS == NETWORK
    deny, = made.properties("NetworkInterfacesAreLambdas")["PolicyDocument"]["Statement"]
    assert deny["Effect"] == "Deny"
    assert {(action, deny["Resource"]) for action in deny["Action"]} == NETWORK
    assert deny["Condition"] == {"ArnEquals": {"lambda:SourceFunctionArn": "arn:made-up:Function"}}


def test_msk_iam_reads_the_topics_of_one_cluster():
    assert permissions(stack(**IAM, KafkaTopic="orders,refunds")) - ALWAYS == {
        ("kafka-cluster:Connect", CLUSTER),
        ("kafka-cluster:DescribeTopic", msk("topic", "orders")),
        ("kafka-cluster:ReadData", msk("topic", "orders")),
        ("kafka-cluster:DescribeTopic", msk("topic", "refunds")),
        ("kafka-cluster:ReadData", msk("topic", "refunds")),
        ("kafka-cluster:DescribeGroup", msk("group", "billing")),
        ("kafka-cluster:AlterGroup", msk("group", "billing")),
    }


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_msk_iam_reads_each_topic_and_no_other(count):
    topics = [f"topic-{number}" for number in range(count)]
    made = permissions(stack(**IAM, KafkaTopic=",".join(topics)))
    read = {resource for action, resource in made if action == "kafka-cluster:ReadData"}
    assert read == {msk("topic", topic) for topic in topics}


def test_msk_iam_writes_only_dead_letters():
    made = permissions(stack(**IAM, OnFailure="kafka://orders-dead"))
    assert made - permissions(stack(**IAM)) == {
        ("kafka-cluster:WriteDataIdempotently", CLUSTER),
        ("kafka-cluster:DescribeTopic", msk("topic", "orders-dead")),
        ("kafka-cluster:WriteData", msk("topic", "orders-dead")),
    }


def test_other_clusters_get_no_permissions_of_msk(every_stack):
    if every_stack.parameters["KafkaSaslMechanism"] != "AWS_MSK_IAM":
        assert not [action for action, _ in permissions(every_stack) if action.startswith("kafka-cluster:")]


def test_a_customer_managed_key_is_used_as_far_as_it_is_needed():
    assert permissions(stack("a key and no queues")) - ALWAYS == {("kms:Decrypt", KEY)}
    made = stack("a key of one's own")
    both = {("kms:Decrypt", KEY), ("kms:GenerateDataKey", KEY)}
    assert both <= permissions(made) and both <= permissions(made, "ScheduleRole")


def test_the_code_has_a_customer_managed_key_only_through_services():
    made = stack("a key of one's own")
    deny, = made.properties("KeyIsTheServices")["PolicyDocument"]["Statement"]
    assert (deny["Effect"], deny["Action"], deny["Resource"]) == ("Deny", "kms:*", KEY)
    assert deny["Condition"] == {
        "ArnEquals": {"lambda:SourceFunctionArn": "arn:made-up:Function"},
        "Null": {"kms:ViaService": "true"},
    }
    assert "KeyIsTheServices" not in stack().resources


@pytest.mark.parametrize("chosen, key", [({"EncryptionKeyArn": KEY}, KEY), ({"DeadLetterKeyArn": DEAD_LETTER_KEY}, DEAD_LETTER_KEY)])
def test_an_existing_queue_of_dead_letters_is_written_with_its_key(chosen, key):
    both = {("kms:Decrypt", key), ("kms:GenerateDataKey", key)}
    assert permissions(stack(OnFailure=QUEUE, **chosen)) - ALWAYS == {("sqs:SendMessage", QUEUE), *both}


def test_the_key_of_an_existing_queue_is_used_through_sqs_only():
    made = stack(OnFailure=QUEUE, DeadLetterKeyArn=DEAD_LETTER_KEY)
    statement, = (each for each in statements(made, "FunctionRole") if "kms:Decrypt" in each["Action"])
    assert statement["Condition"] == {"StringLike": {"kms:ViaService": "sqs.xx-test-1.*"}}


def test_traces_are_sent_where_they_are_chosen():
    assert permissions(stack(Tracing="Active")) - ALWAYS == TRACES


def test_only_permissions_on_the_network_and_on_traces_are_on_every_resource(every_stack):
    for role in ("FunctionRole", "ScheduleRole"):
        for action, resource in permissions(every_stack, role):
            assert "*" not in action
            assert "*" not in resource or (action, resource) in NETWORK | TRACES


def test_the_schedule_may_start_this_function_and_nothing_else():
    assert permissions(stack(), "ScheduleRole") == {("lambda:InvokeFunction", "arn:made-up:Function")}


def test_each_role_is_for_one_service_and_the_schedules_for_this_group():
    made = stack()
    function, = made.properties("FunctionRole")["AssumeRolePolicyDocument"]["Statement"]
    assert function["Principal"] == {"Service": "lambda.amazonaws.com"}
    schedule, = made.properties("ScheduleRole")["AssumeRolePolicyDocument"]["Statement"]
    assert schedule["Principal"] == {"Service": "scheduler.amazonaws.com"}
    assert schedule["Condition"] == {
        "StringEquals": {"aws:SourceAccount": "123456789012", "aws:SourceArn": "arn:made-up:ScheduleGroup"}
    }


def test_a_boundary_bounds_both_roles():
    made = stack("a key of one's own")
    for role in ("FunctionRole", "ScheduleRole"):
        assert made.properties(role)["PermissionsBoundary"] == made.parameters["PermissionsBoundaryArn"]
