// Goes to the next notebook and runs it with the mouse, as a trainee does; tells what can be read in the page then.
import { browse, open, options, ready } from "./lab.mjs";

await browse(async (page, seen) => {
  const [first, next] = options.notebooks;
  await open(page, first);
  const panel = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)");
  await panel.locator(`.jp-RenderedMarkdown a[href*="${next.split("/").pop()}"]`).first().click();
  await ready(page, next);
  seen.title = await panel.locator("h1").innerText();

  await page.getByRole("menuitem", { name: "Run", exact: true }).click();
  await page.getByRole("menuitem", { name: "Restart Kernel and Run All Cells…" }).click();
  seen.question = await page.locator(".jp-Dialog-header").innerText();
  await page.locator(".jp-Dialog .jp-mod-accept").click();

  const prompts = panel.locator(".jp-CodeCell .jp-InputPrompt");
  await page.waitForFunction(() => {
    const shown = [...document.querySelectorAll(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-CodeCell .jp-InputPrompt")];
    return shown.length > 0 && shown.every((prompt) => /^\[\d+\]:$/.test(prompt.textContent.trim()));
  }, undefined, { timeout: 180_000 });
  seen.prompts = await prompts.allInnerTexts();
  seen.failed = await panel.locator('[data-mime-type="application/vnd.jupyter.error"]').allInnerTexts();
  seen.last = await panel.locator(".jp-CodeCell").last().locator(".jp-OutputArea-output").innerText();
  await page.screenshot({ path: options.screenshot });
});
