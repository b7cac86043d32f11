//! The variables that the AWS SDK reads: it reports a wrong one only as the failure of a request.

use super::problem::{InvalidSetting, NotAllowed};
use super::target::is_host_label;
use super::vars::Vars;

const ENDPOINT: &str = "AWS_ENDPOINT_URL";
const REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];

/// Checks every `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_<SERVICE>`, and the region.
pub(super) fn check(vars: &Vars, problems: &mut Vec<InvalidSetting>) {
    let ignored = vars.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    let ignored = ignored.is_some_and(|it| it.eq_ignore_ascii_case("true"));
    for (variable, value) in vars.texts() {
        let is_endpoint = variable
            .strip_prefix(ENDPOINT)
            .is_some_and(|service| service.is_empty() || service.starts_with('_'));
        let why = if is_endpoint && !ignored && !is_url(value) {
            "must be a URL with its scheme, such as http://127.0.0.1:8000"
        } else if REGIONS.contains(&variable) && !is_host_label(value) {
            "must be the name of a region, such as eu-central-1"
        } else {
            continue;
        };
        problems.push(InvalidSetting::value(variable, value, NotAllowed::new(why)));
    }
}

fn is_url(text: &str) -> bool {
    let Ok(url) = text.parse::<http::Uri>() else {
        return false;
    };
    let Some(authority) = url.authority() else {
        return false;
    };
    let host_and_port = authority.as_str().rsplit('@').next().unwrap_or_default();
    let port = host_and_port.strip_prefix(authority.host()).unwrap_or_default();
    matches!(url.scheme_str(), Some("http" | "https"))
        && !authority.host().is_empty()
        && (port.is_empty() || port[1..].parse::<u16>().is_ok_and(|port| port > 0))
}
