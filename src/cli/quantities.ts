/** Sizes, durations, times and counts as people read them. */

/** 4.7 GB: decimal, as `ollama list` has it. */
export function sizeOf(bytes: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  let size = bytes
  let unit = 0
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1_000
    unit += 1
  }
  return `${unit > 0 && size < 9.95 ? size.toFixed(1) : size.toFixed(0)} ${units[unit]}`
}

/** 12 ms, 3.4 s, 2 m 5 s, 3 h 20 m, 4 d 2 h. */
export function durationOf(ms: number): string {
  if (ms < 999.5) return `${ms.toFixed(0)} ms`
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)} s`
  const seconds = Math.round(ms / 1_000)
  const minutes = Math.floor(seconds / 60)
  const hours = Math.floor(minutes / 60)
  const days = Math.floor(hours / 24)
  if (minutes < 60) return `${minutes} m ${seconds % 60} s`
  if (hours < 24) return `${hours} h ${minutes % 60} m`
  return `${days} d ${hours % 24} h`
}

/** 2026-01-31 09:05:07.250, in this machine's time zone. */
export function timeOf(at: number): string {
  const date = new Date(at)
  if (Number.isNaN(date.getTime())) return String(at)
  const pad = (n: number, width = 2): string => String(n).padStart(width, '0')
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`
  const time = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`
  return `${day} ${time}.${pad(date.getMilliseconds(), 3)}`
}

/** 1,234,567 */
export function countOf(n: number, singular?: string, plural = `${singular}s`): string {
  const figure = n.toLocaleString('en-US')
  return singular === undefined ? figure : `${figure} ${n === 1 ? singular : plural}`
}
