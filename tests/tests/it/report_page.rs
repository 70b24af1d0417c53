//! The testbed's report, as a real browser shows it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use swarm_sim::report::{Report, sample, write};
use swarm_tests::process::{Process, Streams};
use swarm_tests::real;
use swarm_tests::scratch::Scratch;

const LIMIT: Duration = Duration::from_secs(120);
/// Of a phone, in pixels.
const NARROW: u64 = 390;

/// Runs inside the page and tells the page around it what is there.
const PROBE: &str = r"
<script>
addEventListener('load', () => {
  const all = what => [...document.querySelectorAll(what)];
  const only = all('.filter input[type=checkbox]')[0];
  if (only) only.click();
  parent.postMessage(JSON.stringify({
    width: innerWidth,
    wanted: document.documentElement.scrollWidth,
    title: document.title,
    verdict: document.querySelector('h1').textContent,
    replay: all('.replay code').map(line => line.textContent),
    headings: all('h2').map(heading => heading.textContent),
    tables: all('table').map(table => table.rows.length),
    outside: all('table, svg.tl').filter(one => !one.closest('.scroll')).length,
    lanes: all('svg.tl').map(picture => picture.querySelectorAll('text.n').length),
    images: document.images.length,
    scripts: document.scripts.length,
    hidden: all('tr').filter(row => row.hidden).length,
    asked: performance.getEntriesByType('resource').length,
  }), '*');
});
</script>
";

/// Shows a page as wide as a phone does: windows of a browser have a least width, frames have none.
const FRAME: &str = r"<!doctype html>
<iframe src='page.html' style='width:390px;height:844px;border:0'></iframe><pre id='found'></pre>
<script>
addEventListener('message', event => { document.getElementById('found').textContent = event.data; });
</script>
";

#[tokio::test]
async fn a_report_of_failures_shows_all_its_parts_on_a_phone() -> Result<()> {
    let Some(browser) = real::browser()? else {
        return Ok(());
    };
    let report = sample::report();
    let found = Page::write(&report, browser)?.probe().await?;
    fits(&found)?;
    let verdict = text(&found, "verdict");
    ensure!(verdict.contains("Failed"), "{verdict}");
    let replay = strings(&found, "replay");
    for failure in &report.failures {
        ensure!(replay.contains(&failure.replay), "{replay:?}");
    }
    let headings = strings(&found, "headings");
    let parts = [
        "Failures",
        "Failover",
        "Promises",
        "Scenarios",
        "Coverage",
        "Faults drawn",
        "Planted bugs",
        "Determinism",
        "Stories",
        "Runs and machine",
    ];
    ensure!(headings == parts, "{headings:?}");
    let tables = numbers(&found, "tables");
    ensure!(
        tables.contains(&(report.mutants.len() as u64 + 1)),
        "{tables:?}"
    );
    ensure!(
        tables.contains(&(report.scenarios.len() as u64 + 1)),
        "{tables:?}"
    );
    let lanes = numbers(&found, "lanes");
    ensure!(lanes.len() == 4, "pictures: {lanes:?}");
    ensure!(lanes.iter().all(|lanes| *lanes >= 5), "{lanes:?}");
    // The list of scenarios was told to show failures only.
    let hidden = found["hidden"].as_u64();
    ensure!(hidden == Some(11), "hidden rows: {hidden:?}");
    Ok(())
}

#[tokio::test]
async fn hostile_names_stay_text_in_a_browser() -> Result<()> {
    let Some(browser) = real::browser()? else {
        return Ok(());
    };
    let found = Page::write(&sample::hostile(), browser)?.probe().await?;
    fits(&found)?;
    let title = text(&found, "title");
    ensure!(title.starts_with("Failed"), "a script ran: {title}");
    ensure!(found["images"] == 0, "{found}");
    ensure!(
        found["scripts"] == 2,
        "the page's own and the probe: {found}"
    );
    Ok(())
}

#[tokio::test]
async fn a_report_reads_without_javascript() -> Result<()> {
    let Some(browser) = real::browser()? else {
        return Ok(());
    };
    let report = sample::good();
    let page = Page::write(&report, browser)?;
    let file = page.scratch.path().join("index.html");
    // The browser itself needs scripts to say what it shows.
    let whole = fs::read_to_string(&file)?;
    let (before, after) = whole.split_once("<script>").context("no script")?;
    let (_, after) = after.split_once("</script>").context("an open script")?;
    fs::write(&file, format!("{before}{after}"))?;
    let shown = page.open(&file, &[]).await?;
    for part in [
        "Passed",
        "Every promise held",
        &report.last_line(),
        "aria-label=\"Planted bugs\"",
        "class=\"tl\"",
    ] {
        ensure!(shown.contains(part), "{part} is missing");
    }
    ensure!(
        !shown.contains("class=\"filter\""),
        "the script is still there"
    );
    Ok(())
}

/// Nothing wider than the screen, nothing fetched, and what is wide scrolls in its own place.
fn fits(found: &Value) -> Result<()> {
    let width = found["width"].as_u64();
    ensure!(width == Some(NARROW), "width: {width:?}");
    let wanted = found["wanted"].as_u64().context("no width")?;
    ensure!(wanted <= NARROW, "the page is {wanted} px wide");
    ensure!(found["asked"] == 0, "it asked for something: {found}");
    ensure!(found["outside"] == 0, "wide parts outside of a scroller");
    Ok(())
}

struct Page {
    scratch: Scratch,
    browser: PathBuf,
}

impl Page {
    fn write(report: &Report, browser: PathBuf) -> Result<Self> {
        let scratch = Scratch::new("report")?;
        let dir = scratch.path();
        write::write(report, dir)?;
        let page = fs::read_to_string(dir.join("index.html"))?;
        fs::write(dir.join("page.html"), page + PROBE)?;
        fs::write(dir.join("frame.html"), FRAME)?;
        Ok(Self { scratch, browser })
    }

    /// What the probe found.
    async fn probe(&self) -> Result<Value> {
        let frame = self.scratch.path().join("frame.html");
        let shown = self.open(&frame, &["--virtual-time-budget=20000"]).await?;
        let found = shown.split_once("<pre id=\"found\">");
        let found = found.and_then(|(_, rest)| rest.split_once("</pre>"));
        let (found, _) = found.with_context(|| format!("no probe in {shown}"))?;
        // The browser wrote it as HTML.
        let found = found
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&amp;", "&");
        serde_json::from_str(&found).with_context(|| format!("the probe said {found:?}"))
    }

    /// The page as it is after loading.
    async fn open(&self, file: &Path, more: &[&str]) -> Result<String> {
        let dir = self.scratch.path();
        let out = dir.join("shown.html");
        let mut command = Command::new("sh");
        // It complains about what a container lacks; that is not part of the page.
        command
            .args(["-c", r#"exec "$@" >"$0" 2>/dev/null"#])
            .arg(&out)
            .arg(&self.browser)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .arg(format!("--user-data-dir={}", dir.join("profile").display()))
            .args(more)
            .arg("--dump-dom")
            .arg(format!("file://{}", file.display()))
            .env("HOME", dir);
        let browser = Process::spawn("chromium", command, Streams::Pipes)?;
        let status = browser.wait_exit(LIMIT).await?;
        ensure!(status.success(), "chromium: {status}");
        Ok(fs::read_to_string(&out)?)
    }
}

fn text(found: &Value, name: &str) -> String {
    found[name].as_str().unwrap_or_default().to_owned()
}

fn strings(found: &Value, name: &str) -> Vec<String> {
    let all = found[name].as_array().into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn numbers(found: &Value, name: &str) -> Vec<u64> {
    let all = found[name].as_array().into_iter().flatten();
    all.filter_map(Value::as_u64).collect()
}
