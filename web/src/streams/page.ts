// Streams: the list, what came in last, and a form to send a record by hand.
import { createStream, listStreams, sampleStream, sendRecords, type StreamInfo, type StreamRecord } from "../api";
import { dataTable } from "../data_table";
import { button, emptyState, h, link, setText, type View } from "../dom";
import { count, readableStamp } from "../format";
import { poll } from "../poll";
import { problemBox } from "../problem";
import { hrefOf } from "../route";

const LIST_EVERY_MS = 3_000;
const SAMPLE_EVERY_MS = 2_000;
const SAMPLE_RECORDS = 20;

export const streamsPage = (name: string | null): View => (name === null ? streamList() : streamDetail(name));

function streamList(): View {
  const table = dataTable<StreamInfo>(
    [
      { title: "Stream", cell: (s) => link(hrefOf("streams", s.name), s.name, "strong") },
      { title: "Shards", align: "right", cell: (s) => count(s.shards) },
      { title: "Kept", align: "right", cell: (s) => `${s.retention_hours} h` },
      { title: "State", cell: (s) => h("span", { class: `state ${s.status === "ACTIVE" ? "live" : "pending"}`, text: s.status.toLowerCase() }) },
    ],
    (s) => s.name,
    { rowHref: (s) => hrefOf("streams", s.name) },
  );
  const body = h("div", { testid: "streams-list" }, h("p", { class: "muted", text: "Loading…" }));
  const show = (streams: StreamInfo[]): void => {
    if (streams.length === 0) return body.replaceChildren(emptyState("No streams yet", h("p", { class: "muted", text: "Create one, then send it a record by hand." })));
    table.show(streams);
    if (body.firstChild !== table.element) body.replaceChildren(table.element);
  };
  const refresh = poll(LIST_EVERY_MS, listStreams, show, (error) => body.replaceChildren(problemBox(error)));

  const name = h("input", { attrs: { name: "stream", required: "", placeholder: "orders", pattern: "[A-Za-z0-9_.\\-]+", title: "Letters, digits, _ . -", "aria-label": "Name of the new stream" } });
  const shards = h("input", { class: "short", attrs: { name: "shards", type: "number", min: "1", max: "256", value: "1", "aria-label": "Shards" } });
  const answer = h("div");
  const form = h("form", { class: "bar", testid: "stream-create" }, h("label", {}, "New stream", name), h("label", {}, "Shards", shards), h("button", { class: "button", text: "Create", attrs: { type: "submit" } }));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await createStream(name.value, Number(shards.value));
      location.hash = hrefOf("streams", name.value);
    } catch (error) {
      answer.replaceChildren(problemBox(error));
    }
  });
  return { element: h("div", { class: "page" }, h("h1", { text: "Streams" }), body, form, answer), leave: refresh.stop };
}

function streamDetail(name: string): View {
  const table = dataTable<StreamRecord>(
    [
      { title: "Arrival", class: "number nowrap", cell: (r) => readableStamp(r.arrival) },
      { title: "Shard", class: "number nowrap", cell: (r) => r.shard },
      { title: "Key", class: "nowrap", cell: (r) => r.key },
      { title: "Record", class: "wrap raw", cell: (r) => recordText(r) },
    ],
    (r) => `${r.shard}/${r.sequence_number}`,
  );
  const body = h("div", { testid: "stream-sample" }, h("p", { class: "muted", text: "Loading…" }));
  const text = h("textarea", { attrs: { rows: "5", spellcheck: "false", "aria-label": "Record as JSON" } });
  text.value = '{"user_id": "u1", "amount": 12.5}';
  let edited = false;
  text.addEventListener("input", () => (edited = true));
  const show = (records: StreamRecord[]): void => {
    if (records.length === 0) return body.replaceChildren(emptyState("Nothing has come in yet", h("p", { class: "muted", text: "Send a record below; it appears here." })));
    const like = records[0]?.data;
    if (!edited && document.activeElement !== text && like && typeof like === "object") {
      text.value = JSON.stringify(like, null, 2);
      text.rows = Math.min(12, text.value.split("\n").length);
      edited = true;
    }
    table.show(records);
    if (body.firstChild !== table.element) body.replaceChildren(table.element);
  };
  const refresh = poll(SAMPLE_EVERY_MS, () => sampleStream(name, SAMPLE_RECORDS), show, (error) => body.replaceChildren(problemBox(error)));

  const key = h("input", { attrs: { placeholder: "user_id", "aria-label": "Partition key field" } });
  const said = h("span", { class: "muted", testid: "send-answer" });
  const trouble = h("div");
  const send = async (): Promise<void> => {
    try {
      const { stored } = await sendRecords(name, text.value, key.value.trim());
      setText(said, stored === 1 ? "1 record stored" : `${count(stored)} records stored`);
      trouble.replaceChildren();
      refresh.now();
    } catch (error) {
      setText(said, "");
      trouble.replaceChildren(problemBox(error));
    }
  };
  const sendButton = button("Send", () => void send(), "button primary");
  return {
    element: h("div", { class: "page" },
      h("header", { class: "bar" }, link(hrefOf("streams"), "Streams", "muted"), h("span", { class: "muted", text: "/" }), h("h1", { class: "clip", text: name })),
      h("h2", { text: "Newest records" }), body,
      h("h2", { text: "Send a record" }),
      h("div", { class: "stack form" }, text, h("div", { class: "bar" }, h("label", {}, "Partition key field", key), sendButton, said), trouble)),
    leave: refresh.stop,
  };
}

const recordText = ({ data, data_base64 }: StreamRecord): string => (data === undefined ? `base64 ${data_base64 ?? ""}` : typeof data === "string" ? data : JSON.stringify(data));
