/**
 * Configuration of the viewer OHIF that MONAI Label 0.8.5 carries: the studies come through this
 * server, read only, and SEG-SAM is one of its extensions.
 */
const SEGSAM = {
  id: 'segsam',
  // OHIF waits for it, so no request for a patient's data leaves before the token is there.
  preRegistration: async ohif => (await import('/ohif/segsam/extension.js')).start(ohif),
};

window.config = {
  routerBasename: '/ohif/',
  showStudyList: true,
  extensions: [SEGSAM],
  modes: [],
  showLoadingIndicator: true,
  showCPUFallbackMessage: true,
  strictZSpacingForVolumeViewport: true,
  useSharedArrayBuffer: 'FALSE',
  defaultDataSourceName: 'dicomweb',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'dicomweb',
      configuration: {
        friendlyName: 'Studies of this server',
        name: 'SEG-SAM',
        qidoRoot: '/proxy/dicom/qido',
        wadoRoot: '/proxy/dicom/wado',
        wadoUriRoot: '/proxy/dicom/wado',
        qidoSupportsIncludeField: true,
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        enableStudyLazyLoad: false,
        supportsFuzzyMatching: true,
        supportsWildcard: true,
        supportsReject: false,
        dicomUploadEnabled: false,
        bulkDataURI: { enabled: true },
      },
    },
  ],
};
