#!/usr/bin/env python3
"""Checks the files of this folder with Home Assistant itself, from PyPI.

    python3 -m venv venv && venv/bin/pip install homeassistant && venv/bin/python check.py

Run by hand: Home Assistant and what it needs are 400 MB and minutes to install. It starts Home Assistant's core in a folder of its own, loads
package and blueprint by its own schemas, moves a sound and two persons, and looks what is said and when. A dashboard is
for the browser, so that nothing here knows its schema: its YAML and the form of its entities are checked, and the tests of Earwitness
hold that the daemon announces them.
"""

import asyncio
import pathlib
import shutil
import sys
import tempfile

import voluptuous
from homeassistant import bootstrap
from homeassistant.components.blueprint.schemas import BLUEPRINT_SCHEMA
from homeassistant.helpers import config_validation as cv
from homeassistant.runner import RuntimeConfig
from homeassistant.util.yaml import load_yaml

HERE = pathlib.Path(__file__).parent
WATER = "binary_sensor.earwitness_kitchen_pi_water_flowing"
SOUND = "binary_sensor.water_in_the_kitchen"
PERSONS = ["person.ada", "person.grace"]
# Ten minutes, in a test.
DURATION_S = 1
PAUSE_S = 1

CONFIGURATION = """
homeassistant:
  packages: !include_dir_named packages
"""


def check_dashboard():
    """The YAML, and that each entity's id is one."""
    entities = []

    def collect(part):
        if isinstance(part, dict):
            for key, value in part.items():
                if key == "entity":
                    entities.append(cv.entity_id(value))
                elif key == "entities":
                    entities.extend(cv.entity_id(entity) for entity in value if isinstance(entity, str))
                collect(value)
        elif isinstance(part, list):
            for value in part:
                collect(value)

    collect(load_yaml(HERE / "dashboard.yaml"))
    assert len(entities) > 10, entities


async def home_assistant(folder):
    """Home Assistant's core with the package and the blueprint."""
    shutil.copytree(HERE / "blueprints", folder / "blueprints")
    (folder / "packages").mkdir()
    package = (HERE / "packages/earwitness.yaml").read_text()
    for of, to in [("minutes: 10", f"seconds: {DURATION_S}"), ("seconds: 30", f"seconds: {PAUSE_S}")]:
        assert of in package, of
        package = package.replace(of, to)
    (folder / "packages/earwitness.yaml").write_text(package)
    (folder / "configuration.yaml").write_text(CONFIGURATION)
    # Without its pages and the rest that is not asked for here, which want further packages.
    for name in ["CRITICAL_INTEGRATIONS", "DEFAULT_INTEGRATIONS", "DEFAULT_INTEGRATIONS_NON_SUPERVISOR"]:
        setattr(bootstrap, name, set())
    hass = await bootstrap.async_setup_hass(RuntimeConfig(config_dir=str(folder), skip_pip=True))
    assert hass is not None and not hass.config.recovery_mode, "the configuration is refused"
    await hass.async_start()
    return hass


async def check_behaviour():
    """What is said, and when."""
    with tempfile.TemporaryDirectory() as folder:
        hass = await home_assistant(pathlib.Path(folder))
        said = []
        hass.services.async_register("notify", "notify", lambda call: said.append(call.data["message"]))
        assert hass.states.get("automation.water_runs_and_nobody_is_home").state == "on", "no automation"

        async def happens(water=None, seconds=0.0, **persons):
            for person, state in persons.items():
                hass.states.async_set(f"person.{person}", state)
            if water is not None:
                hass.states.async_set(WATER, water)
            await asyncio.sleep(seconds)
            await hass.async_block_till_done()

        await happens("off", 0.1, ada="home", grace="work")
        await happens("on", 2 * DURATION_S)
        assert hass.states.get(SOUND).state == "on" and not said, f"somebody is home: {said}"
        await happens(seconds=0.3, ada="not_home")
        assert len(said) == 1, f"the last one has left while water runs: {said}"
        assert "Water in the kitchen" in said[0], said
        # A pause is none.
        await happens("off", PAUSE_S / 2)
        await happens("on", 0.1)
        assert hass.states.get(SOUND).state == "on" and len(said) == 1, said
        await happens("off", PAUSE_S + 0.5)
        assert hass.states.get(SOUND).state == "off"
        await happens("on", DURATION_S / 2)
        assert len(said) == 1, f"not yet: {said}"
        await happens(seconds=DURATION_S)
        assert len(said) == 2, f"water has run for long enough: {said}"
        await hass.async_stop(force=True)
        return said


def main():
    try:
        BLUEPRINT_SCHEMA(load_yaml(HERE / "blueprints/automation/earwitness/sound_while_away.yaml"))
    except voluptuous.Invalid as error:
        sys.exit(f"blueprint: {error}")
    check_dashboard()
    said = asyncio.run(check_behaviour())
    print(f"dashboard, blueprint and package are as Home Assistant takes them; it said {said}")


if __name__ == "__main__":
    main()
