"""The scene: table, blocks, plates, drawer, light and gripper, all of primitive shapes, in one generated XML.

Table frame: x to the right and y away from the static camera, z up, origin in the middle of the table top; metres.
"""

from ..common.textures import SIZE, TEXTURES

BLOCK_COLORS = {"red": "0.85 0.08 0.08", "green": "0.05 0.6 0.12", "blue": "0.08 0.2 0.9"}
PLATE_COLORS = {"yellow": "0.98 0.85 0.1", "purple": "0.5 0.15 0.6"}
LIGHT_COLORS = {"off": (0.1, 0.1, 0.12, 1), "dim": (0.62, 0.5, 0.3, 1), "on": (1.0, 1.0, 0.55, 1)}
BUTTONS = {"on": "1 1 1", "off": "0.05 0.05 0.05"}
DISTRACTORS = {
    "orange": '<geom type="cylinder" size="0.022 0.035" rgba="1 0.5 0.05 1" class="fixture"/>',
    "cyan": '<geom type="sphere" size="0.03" rgba="0.1 0.8 0.85 1" class="fixture"/>',
    "brown": '<geom type="capsule" size="0.02 0.015" rgba="0.4 0.22 0.1 1" class="fixture"/>',
}

BLOCK_HALF = 0.03
DISTRACTOR_HALF = 0.035
PLATE_RADIUS = 0.052
DRAWER_TRAVEL = 0.10
HANDLE_REACH = 0.055
"""Distance of the handle's bar from the drawer's front."""
HANDLE_HEIGHT = 0.05
BUTTON_TRAVEL = 0.016
BUTTON_HEIGHT = 0.05
"""Height of an unpressed button's top."""
CABINET_POSITION = (-0.15, 0.20, 0.0)
"""Middle of the cabinet's front at table height."""
LAMP_POSITION = (0.15, 0.16, 0.0)
BUTTON_OFFSET = 0.055
"""The "on" button is this far left of the lamp, the "off" button this far right."""
FINGER_TRAVEL = 0.05

PARKED = (0.0, 0.0, -1.0)
"""Where unused objects wait, below the table and out of every camera's sight."""


def _block(color: str, rgb: str) -> str:
    return f"""
    <body name="{color}_block" pos="0 0 {BLOCK_HALF}">
      <freejoint name="{color}_block"/>
      <geom type="box" size="{BLOCK_HALF} {BLOCK_HALF} {BLOCK_HALF}" mass="0.08" rgba="{rgb} 1" class="block"/>
    </body>"""


def _plate(color: str, rgb: str) -> str:
    return f"""
    <body name="{color}_plate" mocap="true">
      <geom type="cylinder" size="{PLATE_RADIUS} 0.002" pos="0 0 0.002" rgba="{rgb} 1" class="visual"/>
    </body>"""


def _button(name: str, rgb: str) -> str:
    side = -BUTTON_OFFSET if name == "on" else BUTTON_OFFSET
    return f"""
      <body name="{name}_button" gravcomp="1" pos="{side} 0 {BUTTON_HEIGHT}">
        <joint name="{name}_button" type="slide" axis="0 0 -1" range="0 {BUTTON_TRAVEL}" stiffness="150" damping="4"
               armature="0.05"/>
        <geom type="cylinder" size="0.03 0.015" pos="0 0 -0.015" mass="0.05" rgba="{rgb} 1" class="fixture"/>
      </body>"""


def _finger(side: str, sign: int) -> str:
    return f"""
          <body name="{side}_finger" pos="{sign * 0.006} 0 0" gravcomp="1">
            <joint name="{side}_finger" type="slide" axis="{sign} 0 0" range="0 {FINGER_TRAVEL}" damping="1"/>
            <geom type="box" size="0.006 0.011 0.04" pos="0 0 0.02" mass="0.05" rgba="0.25 0.25 0.28 1" class="hand"/>
          </body>"""


def _texture(name: str) -> str:
    return f"""
    <texture name="{name}" type="2d" builtin="flat" width="{SIZE}" height="{SIZE}"/>
    <material name="{name}_table" texture="{name}" texrepeat="2 2" specular="0"/>
    <material name="{name}_floor" texture="{name}" texrepeat="16 16" specular="0"/>"""


def scene_xml(framebuffer: int) -> str:
    """Return the MJCF text of the scene; images may be up to `framebuffer` pixels wide and high."""
    blocks = "".join(_block(color, rgb) for color, rgb in BLOCK_COLORS.items())
    plates = "".join(_plate(color, rgb) for color, rgb in PLATE_COLORS.items())
    buttons = "".join(_button(name, rgb) for name, rgb in BUTTONS.items())
    distractors = "".join(
        f'\n    <body name="{name}_distractor" mocap="true" pos="0 0 -1">{geom}</body>'
        for name, geom in DISTRACTORS.items()
    )
    textures = "".join(_texture(name) for name in TEXTURES)
    cabinet = " ".join(map(str, CABINET_POSITION))
    lamp = " ".join(map(str, LAMP_POSITION))
    return f"""
<mujoco model="tabletop">
  <compiler angle="radian"/>
  <option timestep="0.005" integrator="implicitfast" cone="elliptic" impratio="5" iterations="30"/>
  <size memory="8M"/>
  <visual>
    <global offwidth="{framebuffer}" offheight="{framebuffer}"/>
    <quality shadowsize="0" offsamples="0" numslices="14" numstacks="8" numquads="1"/>
    <headlight ambient="0.45 0.45 0.45" diffuse="0.35 0.35 0.35" specular="0 0 0"/>
    <map znear="0.02" zfar="5"/>
  </visual>
  <statistic center="0 0 0" extent="1"/>
  <default>
    <default class="visual"><geom contype="0" conaffinity="0"/></default>
    <default class="block"><geom contype="2" conaffinity="7" condim="4" friction="0.6 0.02 0.001"/></default>
    <default class="hand">
      <geom contype="4" conaffinity="10" condim="4" friction="2 0.05 0.001" solimp="0.95 0.99 0.001"/>
    </default>
    <default class="fixture"><geom contype="8" conaffinity="6" friction="0.6 0.02 0.001"/></default>
  </default>
  <asset>
    <texture name="checker" type="2d" builtin="checker" rgb1="0.35 0.45 0.5" rgb2="0.5 0.6 0.62" width="64"
             height="64"/>
    <material name="checker_table" texture="checker" texrepeat="6 6" specular="0"/>{textures}
  </asset>
  <worldbody>
    <light directional="true" castshadow="false" pos="0 -0.6 1.5" dir="0.2 0.5 -1" diffuse="0.4 0.4 0.4"
           specular="0 0 0"/>
    <camera name="static" pos="0 -0.56 0.66" xyaxes="1 0 0 0 0.75 0.66" fovy="46"/>
    <geom name="floor" type="box" size="3 3 0.01" pos="0 0 -0.5" rgba="0.35 0.36 0.4 1" contype="1"
          conaffinity="0"/>
    <geom name="table" type="box" size="0.38 0.33 0.02" pos="0 0.04 -0.02" rgba="0.78 0.74 0.68 1" contype="1"
          conaffinity="0" friction="0.6 0.02 0.001"/>{blocks}{plates}{distractors}
    <body name="cabinet" pos="{cabinet}">
      <geom name="cabinet" type="box" size="0.085 0.065 0.05" pos="0 0.065 0.05" rgba="0.45 0.32 0.22 1"
            class="fixture"/>
      <body name="drawer">
        <joint name="drawer" type="slide" axis="0 -1 0" range="0 {DRAWER_TRAVEL}" damping="4" frictionloss="0.6"
               armature="0.1"/>
        <geom type="box" size="0.075 0.005 0.035" pos="0 -0.005 0.045" mass="0.2" rgba="0.62 0.46 0.32 1"
              class="fixture"/>
        <geom type="box" size="0.07 0.05 0.003" pos="0 0.05 0.015" mass="0.05" rgba="0.3 0.2 0.14 1" class="fixture"/>
        <geom type="box" size="0.003 0.05 0.03" pos="-0.07 0.05 0.045" mass="0.05" rgba="0.62 0.46 0.32 1"
              class="fixture"/>
        <geom type="box" size="0.003 0.05 0.03" pos="0.07 0.05 0.045" mass="0.05" rgba="0.62 0.46 0.32 1"
              class="fixture"/>
        <geom type="box" size="0.06 0.006 0.01" pos="0 {-HANDLE_REACH} {
        HANDLE_HEIGHT
    }" mass="0.05" rgba="0.05 0.8 0.85 1"
              class="fixture"/>
        <geom type="box" size="0.005 0.022 0.008" pos="-0.055 {-HANDLE_REACH / 2 - 0.005} {HANDLE_HEIGHT}" mass="0.02"
              rgba="0.05 0.8 0.85 1" class="fixture"/>
        <geom type="box" size="0.005 0.022 0.008" pos="0.055 {-HANDLE_REACH / 2 - 0.005} {HANDLE_HEIGHT}" mass="0.02"
              rgba="0.05 0.8 0.85 1" class="fixture"/>
      </body>
    </body>
    <body name="lamp" pos="{lamp}">
      <geom name="panel" type="box" size="0.1 0.045 0.01" pos="0 0 0.01" rgba="0.55 0.57 0.6 1" class="fixture"/>
      <geom type="cylinder" size="0.01 0.03" pos="0 0.1 0.03" rgba="0.3 0.3 0.3 1" class="fixture"/>
      <geom name="bulb" type="sphere" size="0.042" pos="0 0.1 0.085" class="fixture"/>{buttons}
    </body>
    <body name="hand" gravcomp="1">
      <joint name="hand_x" type="slide" axis="1 0 0" damping="2"/>
      <joint name="hand_y" type="slide" axis="0 1 0" damping="2"/>
      <joint name="hand_z" type="slide" axis="0 0 1" damping="2"/>
      <joint name="hand_yaw" type="hinge" axis="0 0 1" armature="0.01" damping="0.05"/>
      <joint name="hand_pitch" type="hinge" axis="0 1 0" armature="0.01" damping="0.05"/>
      <joint name="hand_roll" type="hinge" axis="1 0 0" armature="0.01" damping="0.05"/>
      <geom type="box" size="0.06 0.015 0.012" pos="0 0 0.072" mass="0.6" rgba="0.9 0.9 0.92 1" class="hand"/>
      <geom type="cylinder" size="0.009 0.06" pos="0 0 0.144" mass="0.2" rgba="0.9 0.9 0.92 1" class="visual"/>
      <camera name="gripper" pos="0 -0.065 0.06" xyaxes="1 0 0 0 0.94 0.35" fovy="80"/>{_finger("right", 1)}{
        _finger("left", -1)
    }
    </body>
  </worldbody>
  <actuator>
    <position joint="hand_x" kp="4000" kv="130" forcerange="-80 80"/>
    <position joint="hand_y" kp="4000" kv="130" forcerange="-80 80"/>
    <position joint="hand_z" kp="4000" kv="130" forcerange="-80 80"/>
    <position joint="hand_roll" kp="40" kv="1.4"/>
    <position joint="hand_pitch" kp="40" kv="1.4"/>
    <position joint="hand_yaw" kp="40" kv="1.4"/>
    <position joint="right_finger" kp="300" kv="8"/>
    <position joint="left_finger" kp="300" kv="8"/>
  </actuator>
</mujoco>"""
