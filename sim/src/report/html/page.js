for (const box of document.querySelectorAll('[data-filter]')) {
  const rows = [...box.querySelectorAll('tbody tr')];
  const bar = document.createElement('div');
  bar.className = 'filter';
  const label = document.createElement('label');
  const text = document.createElement('input');
  text.type = 'search';
  text.placeholder = 'Filter';
  text.setAttribute('aria-label', 'Filter ' + box.getAttribute('aria-label'));
  const only = document.createElement('input');
  only.type = 'checkbox';
  label.append(only, ' only what went wrong');
  const said = document.createElement('output');
  bar.append(text, label, said);
  box.before(bar);
  const show = () => {
    const wanted = text.value.toLowerCase();
    let shown = 0;
    for (const row of rows) {
      const fits = row.textContent.toLowerCase().includes(wanted) && (!only.checked || row.classList.contains('bad'));
      row.hidden = !fits;
      shown += fits;
    }
    said.textContent = shown === rows.length ? '' : shown + ' of ' + rows.length;
  };
  text.addEventListener('input', show);
  only.addEventListener('change', show);
}
