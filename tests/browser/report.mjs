// Opens a run's report on a phone and on a large screen, in the light and in the dark, and keeps a picture of each.
import { browse, options } from "./lab.mjs";

await browse(async (page, seen) => {
  seen.views = [];
  for (const width of [390, 1280]) for (const colorScheme of ["light", "dark"]) {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia({ colorScheme });
    await page.goto(options.report);
    seen.views.push(await page.evaluate(() => ({
      sideways: document.documentElement.scrollWidth > window.innerWidth,
      pictures: [...document.querySelectorAll("figure img")].map((picture) => picture.checkVisibility() && picture.naturalWidth),
      colours: ["color", "backgroundColor"].map((name) => getComputedStyle(document.body)[name]),
    })));
    await page.screenshot({ path: `${options.screenshots}/report-${width}-${colorScheme}.png`, fullPage: true });
  }
});
