import t from 'tap'
import { gaugesOf } from '../../src/fleet/gauges.ts'

const gpu = (id: string, memoryBytes?: number) => ({
  id,
  vendor: 'nvidia',
  model: `model ${id}`,
  unified: false,
  driver: '',
  ...(memoryBytes !== undefined && { memoryBytes }),
})

t.test('a machine in a few figures; what nobody knows is left out', async t => {
  t.same(gaugesOf({ at: 1 }), {})
  const equipment = {
    gpus: [gpu('a', 8), gpu('b', 16), gpu('c')],
    gpusKnown: true,
    container: false,
    memoryBytes: 64,
  }
  const told = gaugesOf({
    at: 1,
    equipment,
    load: {
      cores: [],
      inFlight: 0,
      cpu: 0,
      gpus: [
        { id: 'a', utilisation: 0, memoryUsedBytes: 0, temperatureC: 40 },
        { id: 'b', utilisation: 1, temperatureC: 70, powerW: 100 },
        { id: 'c', memoryUsedBytes: 5, powerW: 50 },
        { id: 'x', memoryUsedBytes: 5 },
      ],
    },
  })
  t.same(told, {
    cpu: 0,
    memoryBytes: 64,
    gpus: ['model a', 'model b', 'model c'],
    vramBytes: 8,
    vramUsedBytes: 0,
    gpu: 0.5,
    temperatureC: 70,
    powerW: 150,
  })
})
