// The steps of a request over time.
import type { JSX } from "preact";
import type { RunResult } from "../../api/types";
import { Empty } from "../../ui/data";
import { duration } from "../../ui/format";

export function Waterfall({ of }: { of: RunResult }): JSX.Element {
  if (!of.timing) {
    return (
      <Empty title={`${duration(of.duration_ms)} in all`}>
        <p>No action is in this document, so it passed through to the upstream as it is, and there are no steps to show.</p>
      </Empty>
    );
  }
  const total = Math.max(of.timing.total_ms, 0.001);
  return (
    <div class="waterfall" role="list" aria-label="Steps of the request">
      {of.timing.steps.map((step, index) => {
        const from = (step.start_ms / total) * 100;
        const width = Math.max((step.duration_ms / total) * 100, 0.4);
        return (
          <div class={`step ${kindOf(step.name)} ${step.failed ? "failed" : ""}`} role="listitem" key={index}>
            <span class="name">
              {step.name}
              {step.label ? <code> {step.label}</code> : null}
            </span>
            <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
              <rect x={Math.min(from, 99.6)} width={Math.min(width, 100 - Math.min(from, 99.6))} height="10" />
            </svg>
            <span class="right small nowrap">{duration(step.duration_ms)}</span>
          </div>
        );
      })}
      <div class="row between muted small">
        <span>from the request's head to the response's end</span>
        <span>{duration(of.timing.total_ms)}</span>
      </div>
    </div>
  );
}

/** Calls of others stand out; `run` is what they are in. */
function kindOf(name: string): string {
  if (name.startsWith("upstream")) return "upstream";
  return name === "run" ? "wait" : "";
}
