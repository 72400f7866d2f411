// A grid of answers: rows of cases, columns of prompts and models. Whatever a model or a user says is put in as text.

function element(tag, attributes, ...children) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes || {}))
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value)
  for (const child of children) if (child !== null && child !== undefined) made.append(child)
  return made
}

const TAGS = { "-": "del", "+": "ins" }

function words(pieces) {
  // pieces: [sign, text] each; what was taken out and put in is told by the tag, too
  const box = element("div", { class: "words", dir: "auto" })
  for (const [sign, text] of pieces) box.append(TAGS[sign] ? element(TAGS[sign], {}, text) : text)
  return box
}

function cell(answer, row, column) {
  const where = { role: "gridcell", tabindex: -1, "data-row": row, "data-column": column }
  if (answer === null) return element("td", { ...where, class: "none", "aria-label": "not asked" }, "–")
  const said = `${answer.level}: ${answer.facts}`
  const made = element("td", { ...where, class: answer.level, "data-call": answer.call, title: answer.call ? "Open the call" : null })
  const sign = element("span", { class: "sign", "aria-label": said }, answer.sign)
  const facts = element("span", { class: "facts" }, answer.facts)
  made.append(element("div", { class: "head" }, sign, facts))
  made.append(answer.why ? element("div", { class: "why" }, answer.why) : words(answer.pieces))
  return made
}

function head(columns, expecting) {
  const row = element("tr", {}, element("th", { scope: "col", class: "case" }, "case"))
  if (expecting) row.append(element("th", { scope: "col", class: "expected" }, "expected"))
  for (const column of columns) {
    const dot = element("span", { class: "dot" })
    dot.style.background = column.colour
    const name = element("div", { class: "name" }, dot, column.name)
    row.append(element("th", { scope: "col", title: column.whole }, name, element("div", { class: "about" }, column.about)))
  }
  return element("thead", {}, row)
}

export default function (component) {
  const { data, setTriggerValue, parentElement } = component
  let holder = parentElement.querySelector(".holder")
  if (!holder) {
    holder = element("div", { class: "holder" })
    parentElement.append(holder)
  }
  const version = JSON.stringify(data)
  if (holder.dataset.version === String(version.length) && holder.whole === version) return
  holder.whole = version
  holder.dataset.version = String(version.length)

  const table = element("table", { role: "grid", "aria-label": data.label })
  table.append(head(data.columns, data.expecting))
  const body = element("tbody", {})
  data.rows.forEach((row, number) => {
    const first = element("th", { scope: "row", class: "case" })
    const id = element("div", { class: "id" }, row.id)
    const menu = element("div", { class: "actions" })
    for (const [action, label, help] of data.actions) {
      const button = element("button", { type: "button", title: help, "aria-label": `${help}: ${row.id}` }, label)
      button.onclick = () => setTriggerValue("row", { case: row.id, action })
      menu.append(button)
    }
    first.append(id, words([["=", row.asked]]), menu)
    const line = element("tr", { class: row.differs ? "differs" : "" }, first)
    if (data.expecting) line.append(element("td", { class: "expected" }, words([["=", row.expected]])))
    row.answers.forEach((answer, column) => line.append(cell(answer, number, column)))
    body.append(line)
  })
  table.append(body)
  holder.replaceChildren(table)

  const cells = (row, column) => holder.querySelector(`td[data-row="${row}"][data-column="${column}"]`)
  const start = cells(0, 0)
  if (start) start.tabIndex = 0
  const open = (target) => {
    const chosen = target.closest("td[data-call]")
    if (!chosen) return
    setTriggerValue("open", chosen.dataset.call)
    const { row, column } = chosen.dataset
    let seen = false  // the call is at the side of the page: once it is closed, one goes on where one was
    const back = setInterval(() => {
      const there = document.querySelector("[role=dialog]")
      seen = seen || there
      if (seen && !there) {
        clearInterval(back)
        cells(row, column)?.focus()
      } else if (!holder.isConnected) clearInterval(back)
    }, 200)
  }
  holder.onclick = (event) => {
    if (!window.getSelection().toString()) open(event.target)
  }
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }
  holder.onkeydown = (event) => {
    const now = event.target.closest("td[data-row]")
    if (!now) return
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault()
      open(now)
    }
    const step = steps[event.key]
    const next = step && cells(Number(now.dataset.row) + step[0], Number(now.dataset.column) + step[1])
    if (next) {
      event.preventDefault()
      holder.querySelectorAll('td[tabindex="0"]').forEach((other) => (other.tabIndex = -1))
      next.tabIndex = 0
      next.focus()
    }
  }
}
