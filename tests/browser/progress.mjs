// Runs a notebook with a long step, and tells what its output says while the step goes on and when it has ended.
import { browse, open, options } from "./lab.mjs";

await browse(async (page, seen) => {
  await open(page, options.notebook);
  const output = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell .jp-OutputArea-output").first();
  const run = page.evaluate(() => window.jupyterapp.commands.execute("notebook:run-all-cells"));
  await page.waitForFunction(() =>
    /\d+ s, /.test(document.querySelector(".jp-CodeCell .jp-OutputArea-output")?.innerText ?? ""));
  seen.during = await output.innerText();
  await run;
  seen.after = await page.evaluate(() =>
    window.jupyterapp.shell.currentWidget.content.model.toJSON().cells[0].outputs);
});
