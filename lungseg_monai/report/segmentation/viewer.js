// NiiVue: the planes on one canvas, the masks in 3D on another; still pictures where WebGL 2 is missing.
const windows = {lung: [-1350, 150], mediastinum: [-160, 240], bone: [-450, 1050]};
const views = {multi: 3, axial: 0, coronal: 1, sagittal: 2};
// The fourth quarter is left to the canvas with the masks in 3D. Position: left, top, width, height.
const quarters = [[0, [0, 0, 0.5, 0.5]], [1, [0.5, 0, 0.5, 0.5]], [2, [0, 0.5, 0.5, 0.5]]].map(([sliceType, position]) => ({sliceType, position}));

const viewer = {
  planes: null,
  solid: null,
  stills: new URLSearchParams(location.search).has("stills"),
  state: {view: "multi", window: "lung", opacity: 0.35, mask: true, outline: false, crosshair: true, uncertainty: false},
  shown: -1,  // the case that stands on the canvas
  asked: -1,

  async start() {
    if (!this.stills && !document.createElement("canvas").getContext("webgl2")) {
      this.fallBack("This browser shows no WebGL 2 (often a setting, or a remote desktop): still pictures instead.");
    }
    if (this.stills) return document.body.classList.add("stills");
    const options = {
      isRadiologicalConvention: true, sagittalNoseLeft: true, dragAndDropEnabled: false, logLevel: "silent",
      loadingText: "", showLegend: false, isColorbar: false, showAllOrientationMarkers: true, crosshairWidthUnit: "mm", crosshairColor: [1, 0.85, 0.2, 0.9],
      fontColor: [1, 1, 1, 0.9], clipPlaneHotKey: "", cycleClipPlaneHotKey: "", viewModeHotKey: "",
    };
    try {
      this.planes = new niivue.Niivue({...options, backColor: [0, 0, 0, 1], multiplanarShowRender: 0, crosshairWidth: 1});
      await this.planes.attachToCanvas(one("#gl"));
      this.solid = new niivue.Niivue({...options, backColor: [0.06, 0.07, 0.09, 1], sliceType: 4, show3Dcrosshair: false});
      await this.solid.attachToCanvas(one("#gl3d"));
      await this.solid.loadMatCapTexture(greyBall());
    } catch (error) {
      return this.fallBack(`The viewer did not start (${error.message}): still pictures instead.`);
    }
    this.planes.onLocationChange = place => this.tellPlace(place);
    one("#gl").addEventListener("webglcontextlost", () => this.fallBack("The graphics driver gave up: still pictures instead."));
    this.apply();
  },

  fallBack(why) {
    this.stills = true;
    this.planes = this.solid = null;
    document.body.classList.add("stills");
    say(why);
    if (this.asked >= 0) this.show(this.asked);
  },

  async show(number) {
    this.asked = number;
    one("#nothing").hidden = true;
    let data = null, why = cases[number].unseen || "";
    try {
      data = await dataOf(number);
    } catch (error) {
      why = error.message;
    }
    if (number !== this.asked) return;
    document.body.classList.toggle("unseen", !data);
    one("#nothing").hidden = !!data;
    one("#nothing").textContent = cases[number].error || `Nothing to show: ${why}`;
    this.showStill(number, data);
    if (data && !this.stills) await this.load(number, data);
    if (number === this.asked) this.shown = number;
  },

  showStill(number, data) {
    one("#still").hidden = !(this.stills && data);
    if (one("#still").hidden) return;
    one("#still img").src = data.still;
    one("#still img").alt = `Still pictures of ${cases[number].name}`;
    const uncertain = one("#still-uncertainty");
    uncertain.hidden = !data.uncertain;
    if (data.uncertain) [uncertain.src, uncertain.alt] = [data.uncertain, `Uncertainty of ${cases[number].name}`];
    one("#still figcaption").textContent = "Axial, coronal, sagittal right and left: cut where the masks are largest; window -1350 to 150 HU." +
      (data.uncertain ? ` Below: uncertainty, violet ${report.heat.from} % to yellow ${report.heat.to} %.` : "");
  },

  async load(number, data) {
    const read = (base64, name) => niivue.NVImage.loadFromBase64({base64, name: `${name}.nii.gz`});
    const [ct, labels, solid, spread] = await Promise.all([read(data.ct, "ct"), read(data.labels, "labels"), read(data.solid, "solid"),
      ...(data.spread ? [read(data.spread, "uncertainty")] : [])]);
    if (number !== this.asked || this.stills) return;
    labels.setColormapLabel(colourTable(Object.keys(cases[number].facts.labels || report.colours)));
    solid.setColormapLabel(colourTable(Object.keys(cases[number].facts.labels || report.colours), true));
    if (spread) spread.setColormapLabel(heatTable());
    one("#uncertainty").parentElement.hidden = !spread;
    for (const [view, volumes] of [[this.planes, [ct, labels, ...(spread ? [spread] : [])]], [this.solid, [solid]]]) {
      for (const old of [...view.volumes].reverse()) view.removeVolume(old);
      for (const volume of volumes) view.addVolume(volume);
    }
    this.planes.scene.crosshairPos = [...cases[number].centre];
    this.planes.scene.pan2Dxyzmm = [0, 0, 0, 1];
    await this.solid.setVolumeRenderIllumination(0.6);
    this.solid.setRenderAzimuthElevation(180, 8);  // from the front: the patient's right on the left
    this.apply();
    this.planes.createOnLocationChange();
  },

  set(values) {
    Object.assign(this.state, values);
    this.apply(Object.keys(values));
  },

  apply(changed = Object.keys(this.state)) {
    const {view, window, mask, outline, crosshair, uncertainty} = this.state;
    document.body.dataset.view = view;
    for (const button of all("#views button")) button.setAttribute("aria-pressed", String(button.dataset.view === view));
    for (const button of all("#windows button")) button.setAttribute("aria-pressed", String(button.dataset.window === window));
    const boxes = {mask, outline, crosshair, uncertainty};
    for (const name of Object.keys(boxes)) one(`#${name}`).checked = boxes[name];
    if (this.planes) this.draw(new Set(changed));
  },

  // Only what changed: in software, each drawing takes its time.
  draw(changed) {
    const {view, window, opacity, mask, outline, crosshair, uncertainty} = this.state, planes = this.planes;
    if (changed.has("crosshair")) planes.opts.crosshairWidth = crosshair ? 1 : 0;
    if (changed.has("view")) {
      planes.customLayout = view === "multi" ? quarters : null;
      if (view in views) planes.opts.sliceType = views[view];
      if (view !== "3d") planes.resizeListener();
      if (view === "multi" || view === "3d") this.solid.resizeListener();
    }
    if (planes.volumes.length) {
      [planes.volumes[0].cal_min, planes.volumes[0].cal_max] = windows[window];
      planes.volumes[1].opacity = mask ? (outline ? 1 : opacity) : 0;
      if (planes.volumes[2]) planes.volumes[2].opacity = uncertainty ? 0.8 : 0;
    }
    if (changed.has("outline")) planes.setCustomSliceShader(outline ? outlineShader(planes) : "");
    else if (planes.volumes.length && ["window", "opacity", "mask", "uncertainty"].some(name => changed.has(name))) planes.updateGLVolume();
    if (changed.has("crosshair")) planes.drawScene();
  },

  tellPlace({mm, values}) {
    const hu = values?.[0]?.value;
    const label = values?.[1]?.value, spread = values?.[2]?.value;
    const names = cases[this.asked].facts.labels || {};
    const side = (value, plus, minus) => `${Math.abs(value).toFixed(0)} ${value < 0 ? minus : plus}`;
    one("#where").textContent = `${side(mm[0], "R", "L")} ${side(mm[1], "A", "P")} ${side(mm[2], "S", "I")} mm` +
      (Number.isFinite(hu) ? ` · ${hu.toFixed(0)} HU` : "") + (label ? ` · ${shortName(names[label] || String(label))}` : "") +
      (spread ? ` · ${spread} % uncertain` : "");
  },
};

// NiiVue's own shader of slices, which then keeps of a mask only what lies within a pixel or two of its edge in this
// plane; its own outlines are voxels next to air in any direction, which fills the domes of the diaphragm.
const edgeOnly = `
  if (ocolor.a >= 0.5) {
    vec3 right = 1.5 * dFdx(texPos), down = 1.5 * dFdy(texPos);
    vec4 around[4] = vec4[4](texture(overlay, texPos + right), texture(overlay, texPos - right),
                             texture(overlay, texPos + down), texture(overlay, texPos - down));
    bool edge = false;
    for (int n = 0; n < 4; n++) edge = edge || around[n].a < 0.5 || distance(around[n].rgb, ocolor.rgb) > 0.3;
    ocolor.a = edge ? 1.0 : 0.0;
  } else ocolor.a = 0.0;
`;
function outlineShader(view) {
  const {gl, sliceMMShader} = view;
  const [fragment] = gl.getAttachedShaders(sliceMMShader.program).filter(shader => gl.getShaderParameter(shader, gl.SHADER_TYPE) === gl.FRAGMENT_SHADER);
  return gl.getShaderSource(fragment).replace("ocolor.a *= overlayAlpha;", found => edgeOnly + found);
}

// How light falls on a ball, which lights the masks in 3D; NiiVue's own ball has a red side that looks like a finding.
function greyBall() {
  const canvas = make("canvas", {width: 128, height: 128}), ink = canvas.getContext("2d");
  const light = ink.createRadialGradient(48, 40, 4, 64, 64, 72);
  for (const [at, grey] of [[0, 255], [0.35, 225], [0.75, 150], [1, 90]]) light.addColorStop(at, `rgb(${grey},${grey},${grey})`);
  ink.fillStyle = light;
  ink.fillRect(0, 0, 128, 128);
  return canvas.toDataURL();
}

// In 3D lungs are glass where there is something else, which lies within them.
function colourTable(labels, inside = false) {
  const glass = inside && labels.some(label => !report.colours[label]);
  const table = {R: [0], G: [0], B: [0], A: [0], I: [0], labels: [""]};
  for (const label of labels.map(Number).sort((a, b) => a - b)) {
    const [red, green, blue] = report.colours[label] || report.other;
    table.R.push(red); table.G.push(green); table.B.push(blue); table.A.push(glass && report.colours[label] ? 40 : 255); table.I.push(label); table.labels.push("");
  }
  return table;
}

// Percent of uncertainty as colours; little of it is not drawn.
function heatTable() {
  const {from, to, colours} = report.heat, table = {R: [], G: [], B: [], A: [], I: [], labels: []};
  for (let percent = 0; percent <= 100; percent++) {
    const level = Math.max(0, Math.min(colours.length - 1, Math.floor((percent - from) / (to - from) * colours.length)));
    const [red, green, blue] = colours[level];
    table.R.push(red); table.G.push(green); table.B.push(blue); table.A.push(percent < from ? 0 : 255); table.I.push(percent); table.labels.push("");
  }
  return table;
}
