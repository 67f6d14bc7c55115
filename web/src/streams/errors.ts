// Bad records, the newest first: what was wrong, and the record as it came.
import { listErrors, type BadRecord } from "../api";
import { dataTable } from "../data_table";
import { emptyState, h, type View } from "../dom";
import { readableStamp } from "../format";
import { poll } from "../poll";
import { problemBox } from "../problem";

const EVERY_MS = 3_000;
const SHOWN_MAX = 200;

export function errorsPage(): View {
  const table = dataTable<BadRecord>(
    [
      { title: "Time", class: "number nowrap", cell: (e) => readableStamp(e.error_time) },
      { title: "Error", class: "nowrap", cell: (e) => e.error_name },
      { title: "Reason", class: "wrap", cell: (e) => e.message },
      { title: "Source", class: "nowrap", cell: (e) => [e.source, e.shard_id].filter(Boolean).join(" / ") },
      { title: "Query", class: "nowrap", cell: (e) => e.pump_name ?? "" },
      { title: "Record", class: "wrap raw", cell: (e) => e.raw ?? "" },
    ],
    (e, index) => (e.sequence_number ? `${e.source}/${e.shard_id}/${e.sequence_number}/${e.pump_name}/${e.error_time}` : `${e.error_time}/${index}`),
  );
  const body = h("div", { testid: "errors-list" }, h("p", { class: "muted", text: "Loading…" }));
  const show = (errors: BadRecord[]): void => {
    if (errors.length === 0) return body.replaceChildren(emptyState("No bad records", h("p", { class: "muted", text: "Records that cannot be read, or come too late, are listed here with the reason." })));
    table.show(errors);
    if (body.firstChild !== table.element) body.replaceChildren(table.element);
  };
  const refresh = poll(EVERY_MS, () => listErrors(SHOWN_MAX), show, (error) => body.replaceChildren(problemBox(error)));
  return {
    element: h("div", { class: "page" }, h("h1", { text: "Errors" }), h("p", { class: "muted", text: "The newest records that queries could not use. The same rows are in the table error_stream." }), body),
    leave: refresh.stop,
  };
}
