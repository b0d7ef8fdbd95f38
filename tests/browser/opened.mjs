// Opens notebooks, one after another, touches nothing, and says what JupyterLab makes of each: whether it would ask to save it,
// what it would write, what its outputs show, and how wide their pictures are.
import { browse, open, options } from "./lab.mjs";

await browse(async (page, seen) => {
  seen.opened = {};
  for (const notebook of options.notebooks) {
    await open(page, notebook);
    await page.waitForTimeout(2000); // an extension may change it late
    seen.opened[notebook] = await page.evaluate(() => {
      const { context } = window.jupyterapp.shell.currentWidget;
      const outputs = [...document.querySelectorAll(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-OutputArea-output")];
      return {
        dirty: context.model.dirty,
        kept: context.model.toJSON(),
        outputs: outputs.map((output) => output.innerText),
        pictures: outputs.flatMap((output) => [...output.querySelectorAll("img, svg")]).map((picture) =>
          picture instanceof SVGElement ? picture.getBoundingClientRect().width : picture.naturalWidth),
      };
    });
    await page.evaluate(() => window.jupyterapp.shell.currentWidget.context.sessionContext.shutdown());
  }
});
