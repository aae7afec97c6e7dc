"use strict";

const byId = (id) => document.getElementById(id);

function element(name, text, ...children) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function resolved(schema, document_) {
  if (schema && schema.$ref) {
    return document_.components.schemas[schema.$ref.split("/").pop()];
  }
  return schema;
}

function typeOf(schema) {
  if (!schema || Object.keys(schema).length === 0) return "any";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(" | ");
  if (schema.type === "array") return typeOf(schema.items) + "[]";
  if (schema.enum) return schema.enum.map((each) => JSON.stringify(each)).join(" | ");
  return schema.type || "any";
}

function members(schema, document_) {
  const found = resolved(schema, document_);
  if (!found || !found.properties) return element("p", typeOf(schema));
  const table = element("table");
  for (const [name, member] of Object.entries(found.properties)) {
    const needed = (found.required || []).includes(name) ? "" : "optional";
    table.append(element("tr", "",
      element("td", "", element("code", name)), element("td", typeOf(member)),
      element("td", needed)));
  }
  return table;
}

function addressOf(path, fields) {
  const query = new URLSearchParams();
  let address = path;
  for (const { parameter, input } of fields) {
    if (parameter.in === "path") {
      address = address.replace("{" + parameter.name + "}", encodeURIComponent(input.value));
    } else if (parameter.in === "query" && input.value) {
      query.append(parameter.name, input.value);
    }
  }
  return query.size ? address + "?" + query : address;
}

async function ask(address, output) {
  const headers = {};
  const token = byId("token").value.trim();
  if (token) headers.Authorization = "Bearer " + token;
  try {
    const answer = await fetch(address, { headers, cache: "no-store" });
    const text = await answer.text();
    let shown = text;
    try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* it is no JSON */ }
    output.textContent = "HTTP " + answer.status + "\n" + shown;
  } catch (error) {
    output.textContent = String(error);
  }
}

function trial(path, fields) {
  const output = element("pre");
  output.hidden = true;
  const button = element("button", "Try");
  button.addEventListener("click", () => {
    output.hidden = false;
    output.textContent = "...";
    ask(addressOf(path, fields), output);
  });
  return element("div", "", button, output);
}

function parametersOf(operation) {
  const fields = [];
  const table = element("table");
  for (const parameter of operation.parameters || []) {
    const input = element("input");
    input.setAttribute("aria-label", parameter.name);
    fields.push({ parameter, input });
    table.append(element("tr", "",
      element("td", "", element("code", parameter.name)), element("td", parameter.in),
      element("td", typeOf(parameter.schema)), element("td", "", input)));
  }
  return { fields, table };
}

function bodyOf(operation, document_) {
  const content = Object.entries(operation.requestBody.content);
  const parts = [element("p", "Body: " + content.map(([media]) => media).join(", "))];
  const { schema, example } = content[0][1];
  parts.push(members(schema, document_));
  if (example) parts.push(element("pre", JSON.stringify(example, null, 2)));
  return element("div", "", ...parts);
}

function answersOf(operation, document_) {
  const table = element("table");
  for (const [status, answer] of Object.entries(operation.responses)) {
    const schema = Object.values(answer.content || {})[0]?.schema;
    table.append(element("tr", "",
      element("td", status), element("td", answer.description),
      element("td", schema ? typeOf(schema) : "")));
  }
  const first = Object.values(operation.responses)[0];
  const schema = Object.values(first.content || {})[0]?.schema;
  return element("div", "", table, schema ? members(schema, document_) : "");
}

function operationOf(method, path, operation, document_) {
  const { fields, table } = parametersOf(operation);
  const inside = element("div", "", element("p", operation.description || ""), table);
  if (operation.requestBody) inside.append(bodyOf(operation, document_));
  if (method === "get" && !path.endsWith("/events") && !path.endsWith("/stream")) {
    inside.append(trial(path, fields));
  }
  inside.append(answersOf(operation, document_));
  const details = element("details", "",
    element("summary", "", element("b", method.toUpperCase()), element("code", path),
      element("span", operation.summary), element("i", operation["x-role"] || "public")),
    inside);
  details.dataset.text = (method + " " + path + " " + operation.summary).toLowerCase();
  return details;
}

function show(document_) {
  byId("version").textContent = document_.info.version;
  byId("about").textContent = document_.info.description;
  const sections = new Map(document_.tags.map(({ name }) => [name, element("section")]));
  for (const [path, operations] of Object.entries(document_.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      sections.get(operation.tags[0]).append(operationOf(method, path, operation, document_));
    }
  }
  for (const [name, section] of sections) {
    section.prepend(element("h2", name));
    byId("operations").append(section);
  }
}

byId("filter").addEventListener("input", (event) => {
  const wanted = event.target.value.toLowerCase();
  for (const details of document.querySelectorAll("details")) {
    details.hidden = !details.dataset.text.includes(wanted);
  }
});

fetch("/openapi.json").then((answer) => answer.json()).then(show);
