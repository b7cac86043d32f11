//! The log lines of a run and of a plan that failed.

use super::{Invoked, REPORT_TARGET, Response};
use crate::report::{PlanReport, StopReason};

/// Logs the report of a run, also of a failed one: its main figures as fields to
/// search by, and the whole report as JSON.
pub(crate) fn log(invoked: &Invoked) {
    let report = match &invoked.response {
        Response::Run(report) => report,
        Response::Plan(plan) => return log_plan(plan),
    };
    let json = serde_json::to_string(report).unwrap_or_default();
    let stop_reason = report.stop_reason.map(StopReason::as_str);
    match &report.error {
        None => tracing::info!(
            target: REPORT_TARGET,
            messages_processed = report.messages_processed,
            lag = report.lag,
            stop_reason,
            duration_ms = report.duration_ms,
            report = json,
            "run"
        ),
        Some(error) => tracing::error!(
            target: REPORT_TARGET,
            error_type = %error.kind,
            error = error.message(),
            messages_processed = report.messages_processed,
            lag = report.lag,
            stop_reason,
            duration_ms = report.duration_ms,
            report = json,
            "run failed"
        ),
    }
}

/// The function returns the error of a plan that fails, and not the plan: the
/// log has what is known all the same.
fn log_plan(plan: &PlanReport) {
    if let Some(error) = &plan.error {
        tracing::error!(
            target: REPORT_TARGET,
            error_type = %error.kind,
            error = error.message(),
            plan = plan.to_log_field(),
            "plan failed"
        );
    }
}
