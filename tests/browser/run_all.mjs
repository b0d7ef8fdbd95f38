// Runs all cells of a notebook by JupyterLab's own command, looks at the page, and keeps pictures of it.
import fs from "node:fs";
import path from "node:path";
import { browse, modules, open, options } from "./lab.mjs";

await browse(async (page, seen) => {
  await open(page, options.notebook);
  await page.evaluate(() => window.jupyterapp.commands.execute("notebook:run-all-cells")); // until all are done
  seen.cells = await page.evaluate(() => window.jupyterapp.shell.currentWidget.content.model.toJSON().cells);
  await page.waitForTimeout(500); // pictures are drawn
  seen.notices = await page.locator(".Toastify__toast").allInnerTexts();

  seen.titles = await page.locator(".jp-NotebookPanel h1").allInnerTexts();
  seen.marks = await page.evaluate(() => { // Markdown's own signs, where it was not understood: **费用：**规格
    const walker = document.createTreeWalker(document.querySelector(".jp-Notebook"), NodeFilter.SHOW_TEXT);
    const marks = [];
    for (let text; (text = walker.nextNode()); ) {
      const prose = text.parentElement.closest(".jp-RenderedMarkdown") && !text.parentElement.closest("code");
      if (prose && /\*\*|__|`|\]\(|^#/.test(text.data)) marks.push(text.data);
    }
    return marks;
  });
  seen.sideways = await page.evaluate(() => // what has to be scrolled to be read
    [...document.querySelectorAll(".jp-Notebook .jp-Cell, .jp-Notebook .jp-Cell *")]
      .filter((part) => part.scrollWidth > part.clientWidth + 1 && ["auto", "scroll"].includes(getComputedStyle(part).overflowX))
      .map((part) => part.innerText.slice(0, 200)));
  seen.pictures = await page.evaluate(() =>
    [...document.querySelectorAll(".jp-Notebook .jp-RenderedHTMLCommon img, .jp-Notebook .jp-OutputArea-output img, " +
        ".jp-Notebook .jp-OutputArea-output svg, .jp-Notebook .jp-RenderedHTMLCommon svg")]
      .map((picture) => ({
        text: (picture.alt !== "Image" && picture.alt) || // JupyterLab says "Image" where the notebook says nothing
          picture.getAttribute("aria-label") || picture.querySelector(":scope > title")?.textContent ||
          (picture.src?.startsWith("data:image/svg") && decodeURIComponent(picture.src).match(/<title[^>]*>([^<]+)/)?.[1]) || "",
        drawn: picture instanceof SVGElement ? picture.getBoundingClientRect().width > 0 : picture.naturalWidth > 0,
      })));

  // axe-core looks at what the notebook says, not at JupyterLab around it, nor at what JupyterLab makes of an SVG output:
  // a picture that cannot have alt text. Its title is asked for above.
  await page.evaluate(fs.readFileSync(modules.resolve("axe-core"), "utf8"));
  seen.barriers = await page.evaluate(async () => {
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"];
    const found = await window.axe.run(
      { include: [[".jp-RenderedHTMLCommon"], [".jp-OutputArea-output:not(.jp-RenderedSVG)"]] },
      { runOnly: tags, resultTypes: ["violations"] });
    return found.violations.flatMap(({ id, help, nodes }) => nodes.map((node) => `${id}: ${help}: ${node.html}`));
  });

  seen.screenshots = await photograph(page);
  await page.evaluate(() => window.jupyterapp.shell.currentWidget.context.sessionContext.shutdown());
});

// A picture for each screenful, from the first cell to the last.
async function photograph(page) {
  const place = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer");
  const [whole, screenful] = await place.evaluate((outer) => {
    const cells = outer.querySelectorAll(".jp-Cell");
    const last = cells[cells.length - 1].getBoundingClientRect();
    return [last.bottom - outer.getBoundingClientRect().top + outer.scrollTop, outer.clientHeight];
  });
  const pictures = [];
  for (let number = 0; number * screenful < whole; number++) {
    await place.evaluate((outer, top) => { outer.scrollTop = top; }, number * screenful);
    await page.waitForTimeout(200);
    const file = path.join(options.screenshots, `${path.parse(options.notebook).name}-${number + 1}.png`);
    await page.screenshot({ path: file });
    pictures.push(file);
  }
  return pictures;
}
