// A query's pipeline as a picture, left to right.
import dagre from "@dagrejs/dagre";
import type { Graph, GraphNode } from "../api";

const SVG = "http://www.w3.org/2000/svg";
const NODE_HEIGHT = 46;
const CHAR_WIDTH = 7.1;
const NODE_PADDING = 28;
const NODE_WIDTH_MIN = 96;
const LABEL_MAX = 34;

const KIND_TEXT: Record<string, string> = { source: "source", hot: "per record", operator: "state", close: "window", sink: "sink" };

export function graphView(graph: Graph): SVGSVGElement {
  const layout = new dagre.graphlib.Graph();
  layout.setGraph({ rankdir: "LR", nodesep: 18, ranksep: 40, marginx: 2, marginy: 2 });
  layout.setDefaultEdgeLabel(() => ({}));
  for (const node of graph.nodes) layout.setNode(node.id, { width: widthOf(node), height: NODE_HEIGHT });
  for (const [from, to] of graph.edges) layout.setEdge(from, to);
  dagre.layout(layout);

  const { width = 0, height = 0 } = layout.graph();
  const picture = svg("svg", { class: "graph", viewBox: `0 0 ${width} ${height}`, width: String(width), height: String(height), role: "img", "aria-label": "Pipeline" });
  const arrow = svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: "7", refY: "4", markerWidth: "7", markerHeight: "7", orient: "auto" });
  arrow.append(svg("path", { d: "M0 0.5 7 4 0 7.5", class: "arrow" }));
  picture.append(arrow);
  for (const edge of layout.edges()) {
    const points = (layout.edge(edge) as { points: { x: number; y: number }[] }).points;
    picture.append(svg("path", { class: "edge", d: `M${points.map(({ x, y }) => `${x} ${y}`).join(" L")}`, "marker-end": "url(#arrow)" }));
  }
  for (const node of graph.nodes) {
    const { x, y, width: w } = layout.node(node.id) as { x: number; y: number; width: number };
    const group = svg("g", { class: `node ${node.kind}`, transform: `translate(${x - w / 2} ${y - NODE_HEIGHT / 2})` });
    const title = svg("title", {});
    title.textContent = node.label;
    group.append(title, svg("rect", { width: String(w), height: String(NODE_HEIGHT), rx: "6" }), label(KIND_TEXT[node.kind] ?? node.kind, "kind", 18), label(shorten(node.label), "name", 35));
    picture.append(group);
  }
  return picture;
}

const shorten = (text: string): string => (text.length > LABEL_MAX ? `${text.slice(0, LABEL_MAX - 1)}…` : text);
const widthOf = (node: GraphNode): number => Math.max(NODE_WIDTH_MIN, shorten(node.label).length * CHAR_WIDTH + NODE_PADDING);

function label(text: string, className: string, y: number): SVGElement {
  const element = svg("text", { class: className, x: "14", y: String(y) });
  element.textContent = text;
  return element;
}

function svg<K extends keyof SVGElementTagNameMap>(tag: K, attrs: Record<string, string>): SVGElementTagNameMap[K] {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attrs)) element.setAttribute(name, value);
  return element;
}
