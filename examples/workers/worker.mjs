// A worker in JavaScript: offers the function `resize-image` to workflows over HTTP.
//
//   FLUNQ_API=http://127.0.0.1:PORT FLUNQ_TOKEN=... node worker.mjs [NUMBER OF TASKS]
//
// Needs Node.js 18 and nothing else. The token needs the role operator.

const api = process.env.FLUNQ_API ?? "http://127.0.0.1:8080";
const token = process.env.FLUNQ_TOKEN ?? "";
const wanted = Number(process.argv[2] ?? Infinity);
const worker = `js-${process.pid}`;

const functions = {
  async "resize-image"({ width, height, scale }) {
    if (!(width > 0 && height > 0)) throw new RangeError("an image has a width and a height");
    return { width: Math.round(width * scale), height: Math.round(height * scale) };
  },
};

async function call(path, body) {
  const answer = await fetch(`${api}/v1/tasks/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
    body: JSON.stringify(body),
  });
  if (answer.status === 204) return null;
  const value = await answer.json();
  if (!answer.ok) {
    const error = new Error(value.detail ?? value.title);
    error.status = answer.status;
    throw error;
  }
  return value;
}

// Answers are safe to repeat, so whatever is temporary is tried again.
async function insist(path, body) {
  for (let pause = 200; ; pause = Math.min(pause * 2, 10_000)) {
    try {
      return await call(path, body);
    } catch (error) {
      if (error.status && error.status < 500 && error.status !== 429) throw error;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

async function work(task) {
  const { id, lease } = task;
  const beat = setInterval(
    () => call(`${id}/heartbeat`, { lease }).catch(() => {}),
    (task.lease_seconds * 1000) / 3,
  );
  try {
    const output = await functions[task.kind.replace("function:", "")](task.arguments);
    await insist(`${id}/complete`, { lease, output, worker });
  } catch (problem) {
    if (problem.status) throw problem; // the API refused: somebody else has the task by now
    const error = { status: 500, title: problem.name, detail: problem.message };
    await insist(`${id}/fail`, { lease, error, worker });
  } finally {
    clearInterval(beat);
  }
}

for (let done = 0; done < wanted; ) {
  const task = await insist("poll", { kinds: Object.keys(functions), worker, wait: "20s" });
  if (task === null) continue;
  await work(task).catch((problem) => console.error(`${task.id}: ${problem.message}`));
  done += 1;
}
