// What the scripts share: a browser that keeps account of what goes wrong, and a notebook that is ready in it.
// Called as: node SCRIPT JSON. Prints one line of JSON: what was seen.
import { createRequire } from "node:module";
import path from "node:path";

export const options = JSON.parse(process.argv[2]);
export const modules = createRequire(path.join(options.modules, "node_modules", "here.js"));
const { chromium } = modules("playwright-core");

// Ends the browser whatever happens; `work` gets the page and the object that is printed.
export async function browse(work) {
  const browser = await chromium.launch({
    executablePath: options.chromium,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
      "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"], // a page that needs the network breaks
  });
  const seen = { errors: [], foreign: [], asked: [] };
  const late = setTimeout(() => browser.close(), options.seconds * 1000); // what is awaited in the page fails then
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 1600 } });
    page.setDefaultTimeout(60_000);
    page.on("pageerror", (error) => seen.errors.push(String(error)));
    const note = (url) => {
      const { protocol, hostname, pathname } = new URL(url);
      if (["data:", "blob:", "file:"].includes(protocol)) return;
      (hostname === "127.0.0.1" ? seen.asked : seen.foreign).push(hostname === "127.0.0.1" ? pathname : url);
    };
    page.on("request", (request) => note(request.url()));
    page.on("websocket", (socket) => note(socket.url()));
    await work(page, seen);
  } finally {
    clearTimeout(late);
    await browser.close();
  }
  console.log(JSON.stringify(seen));
}

// Opens a notebook and waits until it can be used: the cells are there and the kernel answers.
export async function open(page, notebook) {
  await page.goto(`${options.url}/lab/tree/${notebook}?token=${options.token}&reset`);
  await ready(page, notebook);
}

export async function ready(page, notebook) {
  await page.waitForFunction((notebook) => {
    const current = window.jupyterapp?.shell.currentWidget;
    return current?.context?.path === notebook && current.context.isReady;
  }, notebook);
  await page.evaluate(async () => {
    const { sessionContext } = window.jupyterapp.shell.currentWidget.context;
    await sessionContext.ready;
    await sessionContext.session.kernel.info;
  });
  await page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell").first().waitFor();
}
