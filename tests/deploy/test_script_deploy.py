"""deploy/deploy.sh deploy: deployments and plans."""

import packages
from script import PARAMETERS, TABLE
from stack import template


def test_the_parameters_of_the_file_and_the_package_are_deployed_and_the_next_steps_are_printed(script):
    result = script("deploy", PARAMETERS="orders.params")
    assert result.returncode == 0, result.stderr
    made = script.account.stack()
    assert made["status"] == "CREATE_COMPLETE"
    defaults = {name: str(rules.get("Default")) for name, rules in template()["Parameters"].items()}
    assert made["parameters"] == {
        **defaults,
        "KafkaBootstrapServers": "a:1,b:2",
        "KafkaTopic": "orders",
        "KafkaGroupId": "billing",
        "KafkaSecurityProtocol": "SSL",
        "CodeBucket": "packages",
        "CodeKey": made["parameters"]["CodeKey"],
    }
    assert f"packages/{made['parameters']['CodeKey']}" in script.account.uploaded()
    assert "--function-name orders-Function-1A2B " in result.stdout and "logs tail orders-LogGroup-1A2B " in result.stdout
    assert result.stdout.endswith("No one is notified when an alarm goes off: set AlarmEmail or AlarmTopicArn.\n")


def test_a_deployment_ends_with_who_is_notified(script):
    script.add("AlarmEmail=ops@example.com")
    assert "Alarms notify ops@example.com" in script("deploy").stdout


def test_each_package_has_its_own_key_and_keeps_it(deployed):
    first = deployed.account.stack()["parameters"]["CodeKey"]
    packages.function(deployed.folder / "function.zip", needs=("libm.so.6",))
    deployed("deploy")
    second = deployed.account.stack()["parameters"]["CodeKey"]
    packages.function(deployed.folder / "function.zip")
    deployed("deploy")
    assert first != second and deployed.account.stack()["parameters"]["CodeKey"] == first


def test_a_deployment_without_changes_executes_nothing(deployed):
    result = deployed("deploy")
    assert result.returncode == 0 and "Nothing changes" in result.stdout
    assert deployed.account.calls("cloudformation", "execute-change-set") == []
    assert deployed.account.read()["change_sets"] == {}


def test_a_parameter_that_is_removed_from_the_file_returns_to_its_default_and_is_shown(script):
    script.add("OnTruncation=latest")
    script("deploy")
    script.file("orders.params", PARAMETERS)
    result = script("deploy")
    line, = (line.split() for line in result.stdout.splitlines() if line.startswith("OnTruncation"))
    assert line == ["OnTruncation", "latest", "halt"]
    assert script.account.stack()["parameters"]["OnTruncation"] == "halt"


def test_tags_and_a_role_are_given_to_cloudformation(script):
    role = "arn:aws:iam::123456789012:role/cloudformation"
    assert script("deploy", TAGS="team=x 'cost=1 2'", ROLE_ARN=role).returncode == 0
    assert script.account.stack()["tags"] == [{"Key": "team", "Value": "x"}, {"Key": "cost", "Value": "1 2"}]
    made, = script.account.calls("cloudformation", "create-change-set")
    assert made[made.index("--role-arn") + 1] == role


def test_without_tags_the_stack_keeps_those_it_has(script):
    script("deploy", TAGS="team=x")
    script.add("MemorySize=1024")
    script("deploy")
    assert script.account.stack()["tags"] == [{"Key": "team", "Value": "x"}]


def test_uploads_are_encrypted_as_the_bucket_demands(script):
    script.account.arrange(buckets={"packages": {"region": "eu-central-1", "owner": "123456789012", "demands": "aws:kms"}})
    result = script("deploy")
    assert result.returncode == 1 and "could not be uploaded" in result.stderr and "Access Denied" in result.stderr
    assert script("deploy", SSE_KMS_KEY_ID="alias/packages").returncode == 0
    for call in script.account.calls("s3", "cp")[-2:]:
        assert call[call.index("--sse") :][:4] == ["--sse", "aws:kms", "--sse-kms-key-id", "alias/packages"]


def test_in_china_the_template_is_named_by_chinas_hosts(script):
    script.account.arrange(partition="aws-cn")
    assert script("deploy").returncode == 0
    made, = script.account.calls("cloudformation", "create-change-set")
    assert made[made.index("--template-url") + 1].startswith("https://s3.eu-central-1.amazonaws.com.cn/packages/orders/template-")


def test_a_value_that_cloudformation_refuses_leaves_no_package_and_no_stack(script):
    script.add("MaxMessages=many")
    result = script("deploy")
    assert result.returncode == 1 and "MaxMessages failed to satisfy constraint: must be a whole number" in result.stderr
    assert script.account.stack() is None and not any("function" in each for each in script.account.uploaded())


def test_errors_of_aws_validation_are_reported_before_anything_is_created(script):
    script.account.arrange(validation=[{"LogicalResourceId": "Function", "ValidationPath": "/Timeout", "ValidationStatusReason": "too long"}])
    result = script("deploy")
    assert result.returncode == 1 and "failed: Function /Timeout: too long" in result.stderr
    assert script.account.stack() is None


def test_an_operation_is_watched_to_its_end(script):
    script.account.arrange(slow=1)
    result = script("deploy")
    assert result.returncode == 0 and "create_complete  Function" in result.stdout


def test_a_stack_of_which_there_is_only_a_change_set_is_created(script):
    script("deploy", PLAN=1)
    script.account.arrange(stacks={"arn:aws:cloudformation:eu-central-1:123456789012:stack/orders/9": {
        "name": "orders", "status": "REVIEW_IN_PROGRESS", "parameters": {}, "resources": {}, "events": [], "deleted": False, "tags": [],
    }})
    assert script("deploy").returncode == 0 and script.account.stack()["status"] == "CREATE_COMPLETE"


def test_a_plan_shows_the_resources_that_would_be_created_and_leaves_nothing(script):
    result = script("deploy", PLAN=1)
    assert result.returncode == 0 and "add     Table  " in result.stdout and "Nothing was changed (PLAN)." in result.stdout
    assert script.account.stack() is None and script.account.calls("cloudformation", "execute-change-set") == []
    assert [each.split("/")[2][:9] for each in script.account.uploaded()] == ["template-"]


def test_a_plan_of_an_existing_stack_shows_parameters_and_resources_and_changes_nothing(deployed):
    before = deployed.account.stack()
    deployed.add("MemorySize=1024")
    result = deployed("deploy", PLAN=1)
    assert "MemorySize  512          1024" in result.stdout
    assert "modify  Function  AWS::Lambda::Function" in result.stdout
    assert deployed.account.stack() == before and deployed.account.read()["change_sets"] == {}


def test_a_plan_warns_where_the_table_would_be_replaced(deployed):
    deployed.account.arrange(changes=[TABLE])
    result = deployed("deploy", PLAN=1)
    assert result.returncode == 0 and "WARNING: a new, empty table of cursors" in result.stdout


def test_a_change_that_loses_cursors_needs_the_stacks_name(deployed):
    deployed.account.arrange(changes=[TABLE])
    deployed.add("MemorySize=1024")
    result = deployed("deploy")
    assert result.returncode == 2 and "nothing was changed (CONFIRM=orders" in result.stderr
    assert deployed.account.stack()["parameters"]["MemorySize"] == "512" and deployed.account.read()["change_sets"] == {}
    assert deployed("deploy", CONFIRM="orders").returncode == 0
    assert deployed.account.stack()["parameters"]["MemorySize"] == "1024"
