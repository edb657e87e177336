/** The errors of events and of batches: each names what is wrong by the path where it stands. */

import type { PublishedEvent } from "../client/api.ts";
import { TidingsError } from "../errors.ts";
import type { EmitEvent, Fault } from "./api.ts";

/** The error of an event with these faults. */
export function refusal(code: string, type: string, faults: readonly Fault[]): TidingsError {
  return new TidingsError(code, `${type}: ${faults.map(inWords).join("; ")}`, { details: faults });
}

/** The error of a batch of which nothing was sent because of these faults. */
export function batchRefusal(faults: readonly Fault[]): TidingsError {
  const list = faults.map((fault) => `[${fault.index}] ${inWords(fault)}`);
  return new TidingsError("invalid_event", list.join("; "), { details: faults });
}

/** The error of a batch of which not all was published; none where all was. */
export function batchFailure(
  events: readonly EmitEvent[],
  results: readonly PromiseSettledResult<PublishedEvent>[],
): TidingsError | undefined {
  const failures = results.flatMap((result, index) =>
    result.status === "rejected" && result.reason instanceof TidingsError
      ? [{ index, error: result.reason }]
      : [],
  );
  const [first] = failures;
  if (first === undefined) return undefined;
  const message = `${failures.length} of ${events.length} events were not published: ${first.error.message}`;
  const details = failures.flatMap(({ index, error }) =>
    faultsIn(error).map((fault) => ({ index, ...fault })),
  );
  return new TidingsError(first.error.code, message, { details, cause: first.error });
}

function inWords({ path, message }: Fault): string {
  return `${path}: ${message}`;
}

function faultsIn(error: TidingsError): readonly Fault[] {
  return Array.isArray(error.details) ? error.details : [{ path: "$", message: error.message }];
}
