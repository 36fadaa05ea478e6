// What harness.py is for Python, for JavaScript: run by `node harness.js`, the same JSON in and out.
'use strict';

const vm = require('vm');

const STEPS = 5000; // turns of loops and calls that one call may take, the same on every machine
const SECONDS = 5; // a net under it
const SHOWN = 120; // characters of a value

function outcome(version, name, args, expected) {
  // A step is counted wherever the block of a loop or of a function begins.
  const counted = version.replace(/(\)|=>) \{/g, '$& __step();');
  let left = STEPS;
  const endless = {};
  const names = {
    __args: args,
    __step: () => {
      left -= 1;
      if (left < 0) throw endless;
    },
  };
  let got;
  try {
    got = vm.runInNewContext(`${counted}\n${name}(...JSON.parse(__args))`, names, { timeout: SECONDS * 1000 });
  } catch (error) {
    if (error === endless) return 'does not come to an end';
    return `ends with ${(error && error.name) || 'an error'}`;
  }
  if (same(got, JSON.parse(expected))) return null;
  const text = shown(got);
  return text.length <= SHOWN ? `returns ${text}` : `returns another ${typeof got}`;
}

function shown(value) {
  if (value === undefined || (typeof value === 'number' && !Number.isFinite(value))) return String(value);
  return JSON.stringify(value) || String(value);
}

function same(one, other) {
  if (typeof one === 'number' && typeof other === 'number') return Math.abs(one - other) < 1e-9;
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && other.every((item, i) => same(one[i], item));
  }
  return one === other;
}

function firstFailure(version, name, tests) {
  for (let i = 0; i < tests.length; i += 1) {
    const gave = outcome(version, name, `[${tests[i][0]}]`, tests[i][1]);
    if (gave !== null) return [i, gave];
  }
  return null;
}

const asked = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const answer = asked.versions.map((version) => firstFailure(version, asked.name, asked.tests));
process.stdout.write(JSON.stringify(answer));
