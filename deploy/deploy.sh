#!/usr/bin/env bash
# Puts the function, its table and what watches it into an account, and takes them out again.
#
#   STACK=orders BUCKET=my-packages PARAMETERS=orders.params deploy/deploy.sh deploy
#   STACK=orders deploy/deploy.sh destroy
#
# PARAMETERS names a file with a line `Name=value` for each of the template's parameters that is not left as
# it is; lines with # are comments. A line that is taken away changes nothing: CloudFormation keeps the value
# that the stack has. LAYER=dist/layer.zip uploads a layer for a package that needs one.
# AWS's own variables (AWS_PROFILE, AWS_REGION) say which account and region.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ ${1:-} != deploy && ${1:-} != destroy ]]; then
    printf 'usage: %s deploy|destroy\n' "$0" >&2
    exit 2
fi

package=${PACKAGE:-dist/function.zip}
template=cloudformation.yaml
missing=()

need() {
    if ! "${@:2}" >/dev/null 2>&1; then
        missing+=("$1")
    fi
}

stop_if_missing() {
    if ((${#missing[@]} > 0)); then
        printf 'missing: %s\n' "${missing[@]}" >&2
        exit 2
    fi
}

is_version_2() {
    [[ $(aws --version 2>&1) == aws-cli/2.* ]]
}

need "AWS's command line, aws, version 2" is_version_2
need "STACK: the stack's name, such as STACK=orders" test -n "${STACK:-}"
stop_if_missing
need "a region: set AWS_REGION, or one for the profile" test -n "${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}"
stop_if_missing
need "credentials: aws sts get-caller-identity says why they are not taken" aws sts get-caller-identity
stop_if_missing

status() {
    aws cloudformation describe-stacks --stack-name "$STACK" --query 'Stacks[0].StackStatus' --output text 2>/dev/null || true
}

output() {
    aws cloudformation describe-stacks --stack-name "$STACK" --output text \
        --query "(Stacks[0].Outputs || \`[]\`)[?OutputKey=='$1'].OutputValue"
}

# A name that follows from the content: the stack sees a new package, and an old one can be named again.
# Older versions of bash, as on a Mac, go on after a failure in here, unless told not to.
upload() {
    local file=$1 sum key
    sum=$(openssl dgst -sha256 -r "$file" | cut -c 1-16) || exit
    key="$STACK/$(basename "$file" .zip)-$sum.zip"
    aws s3 cp --only-show-errors "$file" "s3://$BUCKET/$key" || exit
    printf '%s' "$key"
}

deploy() {
    need "BUCKET: a bucket in the stack's region for packages; aws s3 mb makes one" test -n "${BUCKET:-}"
    need "$package: make package builds it" test -f "$package"
    need "PARAMETERS: a file with lines Name=value, at least KafkaBootstrapServers, KafkaTopic, KafkaGroupId and KafkaSecurityProtocol" test -f "${PARAMETERS:-}"
    need "openssl, for the package's name" command -v openssl
    if [[ -n ${LAYER:-} ]]; then
        need "$LAYER, which LAYER names" test -f "$LAYER"
    fi
    stop_if_missing
    local owner
    # A bucket of somebody else's, by a slip of the pen, would hold the code that this account runs.
    owner=${BUCKET_OWNER:-$(aws sts get-caller-identity --query Account --output text)}
    need "the bucket $BUCKET: it does not exist, these credentials may not use it, or it is not the account $owner's (BUCKET_OWNER names another)" \
        aws s3api head-bucket --bucket "$BUCKET" --expected-bucket-owner "$owner"
    stop_if_missing
    if [[ $(status) == ROLLBACK_COMPLETE ]]; then
        printf 'the stack %s was never made; see its events for the reason, then: make destroy STACK=%s\n' "$STACK" "$STACK" >&2
        exit 1
    fi

    local parameters=() line
    while IFS= read -r line || [[ -n $line ]]; do
        line=${line%$'\r'}
        if [[ -n $line && $line != \#* ]]; then
            parameters+=("$line")
        fi
    done <"$PARAMETERS"
    parameters+=("CodeBucket=$BUCKET" "CodeKey=$(upload "$package")")
    if [[ -n ${LAYER:-} ]]; then
        parameters+=("LayerKey=$(upload "$LAYER")")
    fi

    aws cloudformation deploy --stack-name "$STACK" --template-file "$template" \
        --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset --parameter-overrides "${parameters[@]}"
    aws cloudformation describe-stacks --stack-name "$STACK" --output table \
        --query 'Stacks[0].Outputs[].[OutputKey,OutputValue]'
    cat <<END
What a run would read, without reading it:
  aws lambda invoke --function-name $(output FunctionName) --cli-binary-format raw-in-base64-out --payload '{"action":"plan"}' /dev/stdout
What it does:
  aws logs tail $(output LogGroupName) --follow
END
}

destroy() {
    if [[ -z $(status) ]]; then
        printf 'there is no stack %s in this account and region\n' "$STACK" >&2
        exit 1
    fi
    local table answer=${CONFIRM:-}
    table=$(output TableName)
    printf 'The stack %s is removed: function, schedules, alarms, logs. Kept: its table %s and its queue of dead letters.\n' "$STACK" "$table"
    if [[ -z $answer && -t 0 ]]; then
        read -r -p "Its name again, to go on: " answer
    fi
    if [[ $answer != "$STACK" ]]; then
        printf 'nothing was removed (CONFIRM=%s goes on without asking)\n' "$STACK" >&2
        exit 2
    fi
    aws cloudformation delete-stack --stack-name "$STACK"
    aws cloudformation wait stack-delete-complete --stack-name "$STACK"
    if [[ -n $table ]]; then
        printf 'The next stack goes on where this one stopped with the parameter ExistingTable=%s\n' "$table"
    fi
}

"$1"
