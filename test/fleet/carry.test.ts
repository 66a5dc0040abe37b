/** An answer that an agent tells part by part. */
import t from 'tap'
import type { Failure } from '../../src/failure.ts'
import { carry } from '../../src/fleet/carry.ts'
import type { Ears, Exchange } from '../../src/rpc/exchange.ts'
import type { RelayRequest, RelayResponse } from '../../src/rpc/messages.ts'

function stage() {
  const heard: string[] = []
  let ears!: Ears<RelayResponse>
  const line: Exchange<RelayResponse, RelayRequest> = {
    put: () => true,
    end() {},
    refuse() {},
    cancel() {},
    pause() {},
    resume() {},
    hear: given => {
      ears = given
    },
  }
  const receiver = {
    start: (status: number) => void heard.push(`start ${status}`),
    data: (chunk: Buffer) => void heard.push(`data ${chunk}`),
    end: () => void heard.push('end'),
    fail: ({ code }: Failure) => void heard.push(code),
  }
  carry(line, { method: 'GET', path: '/', headers: {}, body: null }, receiver)
  return { heard, ears }
}

t.test('a part that this house does not know is not the end of an answer', async t => {
  const { heard, ears } = stage()
  ears.message({ head: { status: 200, headers: [] } })
  ears.message({} as RelayResponse)
  ears.message({ data: Buffer.from('a') })
  ears.message({ end: true })
  t.same(heard, ['start 200', 'data a', 'end'])
})

t.test('an answer that ends without saying so is broken', async t => {
  const { heard, ears } = stage()
  ears.message({ head: { status: 200, headers: [] } })
  ears.message({} as RelayResponse)
  ears.end()
  t.same(heard, ['start 200', 'ollama.broken'])
})
