"use strict";

const element = (name, className, ...children) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
};

/* A sentence with what stands between backticks as code. */
const told = (sentence) =>
  element("span", "", ...sentence.split("`").map((part, n) => (n % 2 ? element("code", "", part) : part)));

const nameOf = (reference) => reference.split("/").pop();

/* The type of a schema in a few words; structs by name. */
const words = (schema) => {
  if (!schema || Object.keys(schema).length === 0) return "anything";
  if (schema.$ref) return nameOf(schema.$ref);
  if (schema.anyOf) return schema.anyOf.map(words).join(" or ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" or ");
  if (schema.type === "array") return schema.items ? `list of ${words(schema.items)}` : "list";
  if (schema.type === "object" && schema.additionalProperties) return `map to ${words(schema.additionalProperties)}`;
  return schema.format ? `${schema.type} (${schema.format})` : String(schema.type ?? "anything");
};

/* Every struct that a schema reaches, by name, nearest first. */
const reached = (schema, components, found = new Map()) => {
  if (!schema || typeof schema !== "object") return found;
  if (schema.$ref) {
    const name = nameOf(schema.$ref);
    if (!found.has(name)) {
      found.set(name, components[name]);
      reached(components[name], components, found);
    }
    return found;
  }
  for (const value of Object.values(schema)) reached(value, components, found);
  return found;
};

const table = (heads, rows) =>
  element(
    "table",
    "",
    element("tr", "", ...heads.map((head) => element("th", "", head))),
    ...rows.map((row) => element("tr", "", ...row.map((cell) => element("td", "", cell)))),
  );

const fields = (schema) => {
  if (!schema.properties) return element("pre", "", words(schema));
  const required = new Set(schema.required ?? []);
  const rows = Object.entries(schema.properties).map(([name, field]) => [
    element("code", "", name),
    words(field),
    required.has(name) ? "required" : "optional",
    told(field.description ?? ""),
  ]);
  return table(["field", "type", "", ""], rows);
};

const shape = (title, schema, components) => {
  const parts = [element("h2", "", `${title}: ${words(schema)}`)];
  for (const [name, struct] of reached(schema, components)) {
    parts.push(element("h2", "", element("code", "", name)), fields(struct));
  }
  return parts;
};

const body = (operation, components) => {
  const parts = [];
  if (operation.parameters) {
    const rows = operation.parameters.map((one) => [
      element("code", "", one.name),
      one.in,
      words(one.schema),
      one.required ? "required" : "optional",
      told(one.description ?? ""),
    ]);
    parts.push(element("h2", "", "Parameters"), table(["name", "in", "type", "", ""], rows));
  }
  for (const [type, content] of Object.entries(operation.requestBody?.content ?? {})) {
    parts.push(...shape(`Body, ${type}`, content.schema, components));
  }
  for (const [status, response] of Object.entries(operation.responses)) {
    if (status >= "400") continue;
    parts.push(element("h2", "", `${status} ${response.description}`));
    for (const [type, content] of Object.entries(response.content ?? {})) {
      parts.push(...shape(`Answer, ${type}`, content.schema, components));
    }
  }
  const faults = Object.entries(operation.responses).filter(([status]) => status >= "400");
  parts.push(element("h2", "", "Faults"), table(["status", "codes"], faults.map(([status, one]) => [status, one.description])));
  return element("div", "", ...parts);
};

const show = (api) => {
  document.title = api.info.title;
  document.getElementById("title").textContent = api.info.title;
  document.getElementById("version").textContent = api.info.version;
  const list = document.getElementById("operations");
  list.replaceChildren();
  const components = api.components.schemas;
  const groups = new Map();
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const row = element(
        "details",
        operation.deprecated ? "old" : "",
        element(
          "summary",
          "",
          element("span", "method", method.toUpperCase()),
          element("span", "what", element("span", "path", path), " ", told(operation.summary)),
          element("span", "access", operation["x-least-role"]),
        ),
      );
      row.addEventListener("toggle", () => row.children.length > 1 || row.append(body(operation, components)));
      const tag = operation.tags?.[0] ?? "";
      if (!groups.has(tag)) groups.set(tag, element("section", "", element("h2", "", tag)));
      groups.get(tag).append(row);
    }
  }
  list.append(...groups.values());
  document.getElementById("find").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const group of list.children) {
      for (const row of group.querySelectorAll("details")) {
        row.hidden = !row.firstChild.textContent.toLowerCase().includes(wanted);
      }
      group.hidden = !group.querySelector("details:not([hidden])");
    }
  });
};

fetch("openapi.json")
  .then((answer) => answer.json())
  .then(show)
  .catch((error) => {
    document.getElementById("operations").textContent = `cannot read openapi.json: ${error.message}`;
  });
