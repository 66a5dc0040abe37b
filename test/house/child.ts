/** A house in a process of its own, so that it can be killed. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'

/** A house as a process of its own, ready to serve. */
export async function start(url: string, flags: readonly string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['src/cli/main.ts', 'serve', '--embedded', 'off', ...flags], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let said = ''
  child.stderr!.on('data', chunk => {
    said += chunk
  })
  for (let i = 0; i < 400; i += 1) {
    if (child.exitCode !== null) throw new Error(`the house did not start: ${said}`)
    const ready = await fetch(`${url}/readyz`).then(
      res => res.ok,
      () => false,
    )
    if (ready) return child
    await new Promise(resolve => setTimeout(resolve, 25))
  }
  throw new Error(`the house is not ready: ${said}`)
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  return port
}
